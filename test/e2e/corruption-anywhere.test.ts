/**
 * Flips random bytes anywhere in a store, after closing it or after a crash, and opens it: every block read is right or an
 * error. Says its seed; GALLEONFS_TEST_SEED replays it.
 */
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, rmSync } from 'node:fs';
import { describe, test } from 'node:test';
import { GalleonError } from '../../src/errors/index.ts';
import { VolumeStore } from '../../src/storage/index.ts';
import { Scratch } from './support/scratch.ts';
import { StoreFiles } from './support/store-files.ts';
import { BLOCK_BYTES, versionOf, versionedBlock } from './support/versioned-block.ts';

const BLOCKS = 600;
const ROUNDS = process.env['GALLEONFS_TEST_LONG'] === '1' ? 1000 : 60;

type Outcome = 'refused' | 'someUnreadable' | 'allRight';

describe('flipped bytes anywhere in a store', { timeout: 900_000 }, () => {
  for (const ending of ['a clean stop', 'a crash'] as const) {
    test(`never become wrong data after ${ending}, ${ROUNDS} times`, async (t) => {
      const seed = Number(process.env['GALLEONFS_TEST_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
      t.diagnostic(`GALLEONFS_TEST_SEED=${seed}`);
      const random = randomFrom(seed);
      await using scratch = await Scratch.make();
      const versions = await writeStore(
        scratch.at('pristine'),
        ending === 'a crash' ? scratch.at('crashed') : undefined,
      );
      const outcomes: Record<Outcome, number> = { refused: 0, someUnreadable: 0, allRight: 0 };
      for (let round = 0; round < ROUNDS; round += 1) {
        const directory = scratch.at('damaged');
        rmSync(directory, { recursive: true, force: true });
        cpSync(scratch.at(ending === 'a crash' ? 'crashed' : 'pristine'), directory, { recursive: true });
        const flips = flipSome(new StoreFiles(directory), random);
        outcomes[await outcomeOf(directory, versions, `seed ${seed}, round ${round}, flipped ${flips}`)] += 1;
      }
      t.diagnostic(JSON.stringify(outcomes));
    });
  }
});

function flipSome(files: StoreFiles, random: (limit: number) => number): string {
  const used = files.list().filter(({ bytes }) => bytes > 0);
  const flipped = Array.from({ length: 1 + random(3) }, () => {
    const target = used[random(used.length)];
    assert.ok(target);
    // Beginnings hold headers, summaries and superblocks; elsewhere most bytes are unused payload.
    const offset = random(random(2) === 0 ? Math.min(target.bytes, 32_768) : target.bytes);
    files.flip({ file: target.file, offset }, 1 + random(255));
    return `${target.file} at ${offset}`;
  });
  return flipped.join(', ');
}

/**
 * A store with blocks of several versions and a discarded range, all flushed; returns the version each block must have.
 * `crashed`: where to put a copy of it as it was before it was closed.
 */
async function writeStore(directory: string, crashed: string | undefined): Promise<number[]> {
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
  await store.flush();
  // The next entry says that all before it is durable; without one, a damaged tail looks like writes never finished.
  await store.write(BLOCKS * BLOCK_BYTES, versionedBlock(BLOCKS, 1));
  if (crashed !== undefined) cpSync(directory, crashed, { recursive: true });
  await store.close();
  return versions;
}

async function outcomeOf(directory: string, versions: readonly number[], context: string): Promise<Outcome> {
  let store: VolumeStore;
  try {
    store = await VolumeStore.open(directory);
  } catch (error) {
    assert.ok(error instanceof GalleonError, context);
    return 'refused';
  }
  try {
    let unreadable = 0;
    for (const [block, expected] of versions.entries()) {
      const found = await versionRead(store, block);
      if (found === undefined) unreadable += 1;
      else assert.equal(found, expected, `${context}: block ${block}`);
    }
    if (unreadable > 0) assert.notEqual(store.damage().length, 0, `${context}: unreadable blocks, no damage reported`);
    return unreadable > 0 ? 'someUnreadable' : 'allRight';
  } finally {
    await store.close().catch(() => undefined); // the damage may keep it from checkpointing
  }
}

/** Undefined: an error. @throws Error when the block holds what was never written to it. */
async function versionRead(store: VolumeStore, block: number): Promise<number | undefined> {
  const content = Buffer.alloc(BLOCK_BYTES);
  try {
    await store.read(block * BLOCK_BYTES, content);
  } catch {
    return undefined;
  }
  return versionOf(block, content);
}

/** A linear congruential generator: whole numbers from 0 below `limit`. */
function randomFrom(seed: number): (limit: number) => number {
  let state = BigInt(seed);
  return (limit) => {
    state = (state * 6364136223846793005n + 1442695040888963407n) & 0xffff_ffff_ffff_ffffn;
    return Number((state >> 33n) % BigInt(limit));
  };
}
