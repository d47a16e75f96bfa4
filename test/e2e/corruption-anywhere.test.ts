/**
 * Flips random bytes anywhere in a closed store, and opens it: every block read is right or an error. Says its seed;
 * GALLEONFS_TEST_SEED replays it.
 */
import assert from 'node:assert/strict';
import { cpSync, mkdirSync } from 'node:fs';
import { describe, test } from 'node:test';
import { GalleonError } from '../../src/errors/index.ts';
import { VolumeStore } from '../../src/storage/index.ts';
import { Scratch } from './support/scratch.ts';
import { StoreFiles } from './support/store-files.ts';
import { BLOCK_BYTES, versionedBlock } from './support/versioned-block.ts';

const BLOCKS = 600;
const ROUNDS = process.env['GALLEONFS_TEST_LONG'] === '1' ? 1000 : 60;

describe('flipped bytes anywhere in a store', { timeout: 900_000 }, () => {
  test(`never become wrong data, ${ROUNDS} times`, async (t) => {
    const seed = Number(process.env['GALLEONFS_TEST_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
    t.diagnostic(`GALLEONFS_TEST_SEED=${seed}`);
    const random = randomFrom(seed);
    await using scratch = await Scratch.make();
    const versions = await writeStore(scratch.at('pristine'));
    const outcomes = { refused: 0, someUnreadable: 0, allRight: 0 };
    for (let round = 0; round < ROUNDS; round += 1) {
      const directory = scratch.at('damaged');
      cpSync(scratch.at('pristine'), directory, { recursive: true, force: true });
      const files = new StoreFiles(directory);
      const used = files.list().filter(({ bytes }) => bytes > 0);
      const flipped: string[] = [];
      for (let flips = 1 + random(3); flips > 0; flips -= 1) {
        const target = used[random(used.length)];
        assert.ok(target);
        // Beginnings hold headers, summaries and superblocks; elsewhere most bytes are unused payload.
        const offset = random(random(2) === 0 ? Math.min(target.bytes, 32_768) : target.bytes);
        files.flip({ file: target.file, offset }, 1 + random(255));
        flipped.push(`${target.file} at ${offset}`);
      }
      const context = `seed ${seed}, round ${round}, flipped ${flipped.join(', ')}`;
      outcomes[await outcomeOf(directory, versions, context)] += 1;
    }
    t.diagnostic(JSON.stringify(outcomes));
  });
});

/** A store with blocks of several versions and discarded ranges; returns the version each block must have. */
async function writeStore(directory: string): Promise<number[]> {
  mkdirSync(directory);
  await VolumeStore.create(directory, { volumeId: Buffer.alloc(16, 7), sizeBytes: 16 * 2 ** 20 });
  const store = await VolumeStore.open(directory);
  const versions = Array.from({ length: BLOCKS }, () => 0);
  for (let version = 1; version <= 3; version += 1) {
    for (let block = version - 1; block < BLOCKS; block += version) {
      await store.write(block * BLOCK_BYTES, versionedBlock(block, version));
      versions[block] = version;
    }
    await store.flush();
    if (version === 2) await store.checkpoint();
  }
  await store.discard(100 * BLOCK_BYTES, 50 * BLOCK_BYTES);
  versions.fill(0, 100, 150);
  await store.close();
  return versions;
}

async function outcomeOf(
  directory: string,
  versions: readonly number[],
  context: string,
): Promise<'refused' | 'someUnreadable' | 'allRight'> {
  let store: VolumeStore;
  try {
    store = await VolumeStore.open(directory);
  } catch (error) {
    assert.ok(error instanceof GalleonError, context);
    return 'refused';
  }
  try {
    let unreadable = 0;
    for (const [block, version] of versions.entries()) {
      const content = Buffer.alloc(BLOCK_BYTES);
      const failed = await store.read(block * BLOCK_BYTES, content).then(
        () => false,
        () => true,
      );
      const expected = version === 0 ? Buffer.alloc(BLOCK_BYTES) : versionedBlock(block, version);
      if (failed) unreadable += 1;
      else assert.ok(content.equals(expected), `${context}: block ${block} is wrong`);
    }
    if (unreadable > 0) assert.notEqual(store.damage().length, 0, `${context}: unreadable blocks, no damage reported`);
    return unreadable > 0 ? 'someUnreadable' : 'allRight';
  } finally {
    await store.close().catch(() => undefined); // the damage may keep it from checkpointing
  }
}

/** A linear congruential generator: whole numbers from 0 below `limit`. */
function randomFrom(seed: number): (limit: number) => number {
  let state = BigInt(seed);
  return (limit) => {
    state = (state * 6364136223846793005n + 1442695040888963407n) & 0xffff_ffff_ffff_ffffn;
    return Number((state >> 33n) % BigInt(limit));
  };
}
