/**
 * Flips one byte in the files of a stopped daemon. Whatever it hits: no read returns wrong data, the damage is reported
 * with its place, and other blocks and other volumes go on.
 */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { eventually } from './support/eventually.ts';
import { GalleonfsDaemon } from './support/galleonfs-daemon.ts';
import { Scratch } from './support/scratch.ts';
import { bash, python } from './support/shell.ts';
import { StoreFiles, type Place } from './support/store-files.ts';
import { BLOCK_BYTES, versionedBlock } from './support/versioned-block.ts';

const BLOCKS = 1024;
const HURT = 700; // the block whose data, entry or map page is damaged

interface Damage {
  readonly kind: string;
  readonly file: string;
  readonly fileOffsetBytes: number;
  readonly volumeOffsetBytes?: number;
}

describe('one flipped byte', { timeout: 300_000 }, () => {
  test('in a payload: that block is EIO and reported with its place, its neighbours are right', async () => {
    await using site = await Site.make();
    const payload = site.payloadOf(HURT);
    await site.damage({ ...payload, offset: payload.offset + 1234 });
    assert.deepEqual(await site.unreadable(), [HURT]);
    const [found] = await site.reported();
    assert.equal(found?.kind, 'payload');
    assert.equal(found.volumeOffsetBytes, HURT * BLOCK_BYTES);
    assert.equal(found.file, payload.file);
    assert.equal(found.fileOffsetBytes, payload.offset);
  });

  test('in a payload: the log names the volume and the place, and the metrics count it', async () => {
    await using site = await Site.make();
    await site.damage(site.payloadOf(HURT));
    await site.unreadable();
    await eventually(() => /damage found: payload in segment-\d+/.test(site.daemon.log()));
    const metrics = await (await fetch(`http://${site.daemon.address}/metrics`)).text();
    assert.match(metrics, /checksum_failures\w*\{[^}]*hurt[^}]*\} [1-9]/);
  });

  for (const [part, at] of [
    ['the tag', 5],
    ['the block number', 17],
    ['the check', 30],
  ] as const) {
    test(`in ${part} of a summary entry: no wrong data, and reported`, async () => {
      await using site = await Site.make();
      const entry = site.files.summaryEntry(site.payloadOf(HURT));
      await site.damage({ ...entry, offset: entry.offset + at });
      for (const block of await site.unreadable()) assert.equal(block, HURT);
      const [found] = await site.reported();
      assert.equal(found?.kind, 'summary');
      assert.equal(found.file, entry.file);
    });
  }

  for (const [page, index] of [
    ['the root', 0],
    ['a leaf', -1],
  ] as const) {
    test(`in ${page} of the map: no wrong data, and reported with its place`, async () => {
      await using site = await Site.make();
      const place = site.files.mapPages(HURT).at(index);
      assert.ok(place);
      await site.damage({ ...place, offset: place.offset + 8 });
      await site.unreadable();
      const [found] = await site.reported();
      assert.match(found?.kind ?? '', /^map /);
      assert.equal(found?.file, 'map');
      assert.equal(found.fileOffsetBytes, place.offset);
    });
  }

  test('in the newer superblock: the older one is used and nothing is lost', async () => {
    await using site = await Site.make();
    const place = site.files.newestSuperblock();
    await site.damage({ ...place, offset: place.offset + 50 });
    assert.deepEqual(await site.unreadable(), []);
    const { recovery } = (await site.daemon.showVolume('hurt')) as { recovery: { usedOlderSuperblock: boolean } };
    assert.equal(recovery.usedOlderSuperblock, true);
  });

  test('in the older superblock: nothing is lost', async () => {
    await using site = await Site.make();
    const place = site.files.newestSuperblock();
    await site.damage({ ...place, offset: (place.offset ^ BLOCK_BYTES) + 50 });
    assert.deepEqual(await site.unreadable(), []);
  });

  test('in both superblocks: the volume is refused, untouched, and the others serve', async () => {
    await using site = await Site.make();
    site.files.flip({ file: 'superblock', offset: 50 });
    await site.damage({ file: 'superblock', offset: BLOCK_BYTES + 50 });
    const { state, reason } = (await site.daemon.showVolume('hurt')) as { state: string; reason: { code: string } };
    assert.equal(state, 'failed');
    assert.equal(reason.code, 'STORE_SUPERBLOCK_DAMAGED');
    assert.equal(await bash('head -c 6 "$1"', site.daemon.dataPath('well')), 'still\n');
    await site.daemon.stop();
    // Repaired by flipping back: opening it in vain has changed nothing.
    site.files.flip({ file: 'superblock', offset: 50 });
    site.files.flip({ file: 'superblock', offset: BLOCK_BYTES + 50 });
    await site.daemon.restart();
    assert.deepEqual(await site.unreadable(), []);
  });
});

/** A stopped daemon with the volumes `hurt`, full of numbered blocks, and `well`. */
class Site implements AsyncDisposable {
  readonly daemon: GalleonfsDaemon;
  readonly files: StoreFiles;
  readonly #cleanup: AsyncDisposableStack;
  readonly #scratch: Scratch;

  private constructor(daemon: GalleonfsDaemon, scratch: Scratch, files: StoreFiles, cleanup: AsyncDisposableStack) {
    this.daemon = daemon;
    this.files = files;
    this.#cleanup = cleanup;
    this.#scratch = scratch;
  }

  static async make(): Promise<Site> {
    await using cleanup = new AsyncDisposableStack();
    const scratch = cleanup.use(await Scratch.make());
    const daemon = cleanup.use(await GalleonfsDaemon.start({ directory: scratch.at('daemon') }));
    const data = await daemon.createVolume('hurt', '16MiB');
    const [store = ''] = readdirSync(join(daemon.storagePath, 'volumes'));
    await bash('echo still > "$1"', await daemon.createVolume('well', '4MiB'));
    const blocks = Array.from({ length: BLOCKS }, (_, block) => versionedBlock(block, 1));
    await scratch.write('image', Buffer.concat(blocks));
    await bash('dd if="$2" of="$1" bs=1M conv=notrunc,fsync status=none', data, scratch.at('image'));
    await daemon.stop();
    return new Site(daemon, scratch, new StoreFiles(join(daemon.storagePath, 'volumes', store)), cleanup.move());
  }

  payloadOf(block: number): Place {
    const [place, ...more] = this.files.payloads(versionedBlock(block, 1));
    assert.ok(place !== undefined && more.length === 0, 'a block written once is stored once');
    return place;
  }

  /** Flips a byte at the place and starts the daemon. */
  async damage(place: Place): Promise<void> {
    this.files.flip(place);
    await this.daemon.restart();
  }

  /** The blocks that cannot be read. @throws AssertionError when one is read and is wrong. */
  async unreadable(): Promise<number[]> {
    const program = `
f, image = os.open(argv[1], os.O_RDONLY), open(argv[2], "rb").read()
for at in range(0, len(image), 4096):
    try: found = os.pread(f, 4096, at)
    except OSError as e:
        assert e.errno == errno.EIO, e
        print(at // 4096)
    else: assert found == image[at : at + 4096], "block %d is wrong" % (at // 4096)`;
    const said = await python(program, this.daemon.dataPath('hurt'), this.#scratch.at('image'));
    return said.split('\n').filter(Boolean).map(Number);
  }

  async reported(): Promise<Damage[]> {
    const { damage } = JSON.parse(await this.daemon.galleonfs('volume', 'damage', 'hurt', '--json')) as {
      damage: Damage[];
    };
    assert.notEqual(damage.length, 0, 'nothing is reported');
    return damage;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#cleanup.disposeAsync();
  }
}
