/** `galleonfs scrub` through the real command line and daemon. */
import assert from 'node:assert/strict';
import {
  closeSync,
  openSync,
  readFileSync,
  readSync,
  readdirSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { GalleonFS } from '../../src/index.ts';
import { eventually } from './support/eventually.ts';
import { GalleonfsDaemon } from './support/galleonfs-daemon.ts';
import { LoopFilesystem } from './support/loop-filesystem.ts';
import { needs } from './support/needs.ts';
import { Scratch } from './support/scratch.ts';
import { bash } from './support/shell.ts';
import { StoreFiles, type Place } from './support/store-files.ts';
import { BLOCK_BYTES, versionedBlock } from './support/versioned-block.ts';

const BLOCKS = 1024;
const HURT = 700;
const EXIT = { ok: 0, wrong: 7, conflict: 5 };

interface Job {
  readonly id: string;
  readonly state: string;
  readonly doneBytes: number;
  readonly resultCount: number;
  readonly results: readonly {
    readonly kind: string;
    readonly file: string;
    readonly fileOffsetBytes: number;
    readonly volumeOffsetBytes?: number;
    readonly healed?: string;
  }[];
}

describe('galleonfs scrub', { timeout: 300_000 }, () => {
  test('of a sound volume reads every block and finds nothing; the volume and the metrics say when', async () => {
    await using site = await Site.make();
    const { state, doneBytes, resultCount } = await site.scrub(EXIT.ok);
    assert.equal(state, 'done');
    assert.equal(resultCount, 0);
    assert.ok(doneBytes >= BLOCKS * BLOCK_BYTES);
    const { scrub } = (await site.daemon.showVolume('hurt')) as { scrub: { lastDoneAt: string } };
    assert.match(scrub.lastDoneAt, /^\d{4}-/);
    assert.match(await site.daemon.galleonfs('volume', 'show', 'hurt'), /Last scrub: +\d{4}-/);
    const metrics = await site.metrics();
    assert.match(metrics, /galleonfs_volume_last_scrub_timestamp_seconds\{volume="hurt"\} 1\d{9}/);
    assert.match(metrics, new RegExp(`galleonfs_volume_scrubbed_bytes_total\\{volume="hurt"\\} ${doneBytes}`));
    assert.match(metrics, /galleonfs_volume_scrub_finds_total\{volume="hurt"\} 0/);
  });

  test('lists a rotten payload with its place, counts it, and shows it with the volume', async () => {
    await using site = await Site.make();
    const payload = site.payloadOf(HURT);
    site.files.flip({ ...payload, offset: payload.offset + 7 });
    const { results } = await site.scrub(EXIT.wrong);
    assert.equal(results.length, 1);
    assert.equal(results[0]?.kind, 'payload');
    assert.equal(results[0].file, payload.file);
    assert.equal(results[0].fileOffsetBytes, payload.offset);
    assert.equal(results[0].volumeOffsetBytes, HURT * BLOCK_BYTES);
    assert.equal(results[0].healed, undefined);
    assert.match(await site.daemon.galleonfs('scrub', 'hurt', '--status'), /payload +segment-\d+/);
    assert.match(await site.daemon.galleonfs('volume', 'show', 'hurt'), /the last scrub found damage/);
    assert.match(await site.daemon.galleonfs('volume', 'damage', 'hurt'), /payload/);
    const metrics = await site.metrics();
    assert.match(metrics, /galleonfs_volume_damage_total\{volume="hurt",kind="payload"\} 1/);
    assert.match(metrics, /galleonfs_volume_scrub_finds_total\{volume="hurt"\} 1/);
    assert.match(site.daemon.log(), /the scrub found payload in segment/);
  });

  test('heals an entry, a superblock and a header, and a check agrees', async () => {
    await using site = await Site.make();
    const entry = site.files.summaryEntry(site.payloadOf(HURT));
    site.files.flip({ ...entry, offset: entry.offset + 5 });
    site.files.flip({ file: 'superblock', offset: 60 });
    site.files.flip({ file: entry.file, offset: BLOCK_BYTES + 40 });
    const { results } = await site.scrub(EXIT.ok);
    assert.deepEqual(results.map(({ kind }) => kind).sort(), ['segment header', 'summary', 'superblock']);
    assert.ok(results.every(({ healed }) => healed !== undefined));
    assert.equal((await site.scrub(EXIT.ok)).resultCount, 0);
    await bash('cmp -n "$3" "$1" "$2"', site.daemon.dataPath('hurt'), site.image, BLOCKS * BLOCK_BYTES);
    await site.daemon.stop();
    await site.daemon.galleonfs('check', 'hurt');
  });

  test('reads past the page cache: rot on the disk alone is found, and healed from the cache', async (t) => {
    if (!needs(t, 'root', 'mkfs.ext4', 'losetup')) return;
    await using scratch = await Scratch.make();
    const disk = scratch.at('disk');
    writeFileSync(disk, '');
    truncateSync(disk, 192 * 2 ** 20);
    await using filesystem = await LoopFilesystem.make('ext4', disk, scratch.at('below'));
    await using site = await Site.make(join(filesystem.path, 'daemon'));
    await bash('sync -f "$1"', filesystem.path);
    // The copy in the segment; the image that was copied from lies elsewhere.
    const at = readFileSync(disk).indexOf(versionedBlock(HURT, 1));
    assert.ok(at > 0);
    flip(disk, at + 100);
    await bash('cmp -n "$3" "$1" "$2"', site.daemon.dataPath('hurt'), site.image, BLOCKS * BLOCK_BYTES);
    const { results } = await site.scrub(EXIT.ok);
    assert.equal(results.length, 1);
    assert.equal(results[0]?.volumeOffsetBytes, HURT * BLOCK_BYTES);
    assert.equal(results[0].healed, 'the page cache');
    assert.equal((await site.scrub(EXIT.ok)).resultCount, 0);
  });

  test('of a volume that is written to has no find', async () => {
    await using site = await Site.make();
    const writer = bash(
      'for i in $(seq 12); do dd if=/dev/urandom of="$1" bs=64K count=150 seek=$((i % 3 * 40)) conv=notrunc,fsync status=none; done',
      site.daemon.dataPath('hurt'),
    );
    for (let round = 0; round < 4; round += 1) assert.equal((await site.scrub(EXIT.ok)).resultCount, 0);
    await writer;
    assert.equal((await site.scrub(EXIT.ok)).resultCount, 0);
    await site.daemon.stop();
    await site.daemon.galleonfs('check', 'hurt');
  });

  test('goes on where it was after the daemon was killed, and can be cancelled', async () => {
    await using site = await Site.make();
    await site.daemon.galleonfs('scrub', 'hurt', '--rate', '256KiB');
    const [before] = await site.jobs();
    assert.ok(before);
    await eventually(async () => ((await site.jobs())[0]?.doneBytes ?? 0) > 512 * 1024);
    assert.equal((await site.daemon.tryGalleonfs('scrub', 'hurt')).exitCode, EXIT.conflict);
    await site.daemon.stop();
    await site.daemon.restart();
    const [after] = await site.jobs();
    assert.equal(after?.id, before.id);
    assert.equal(after.state, 'running');
    assert.ok(after.doneBytes > 512 * 1024);
    await site.daemon.killLeavingMounts();
    await site.daemon.restart();
    await eventually(async () => (await site.jobs())[0]?.state === 'running');
    assert.match(await site.daemon.galleonfs('job', 'show', before.id), /scrub of volume "hurt"/);
    await site.daemon.galleonfs('scrub', 'hurt', '--cancel');
    assert.equal((await site.jobs())[0]?.state, 'cancelled');
    assert.equal((await site.scrub(EXIT.ok)).state, 'done');
  });

  test('of a volume that is deleted ends with it', async () => {
    await using site = await Site.make();
    await site.daemon.galleonfs('scrub', '--all', '--rate', '128KiB');
    await site.daemon.galleonfs('volume', 'delete', 'hurt', '--yes');
    assert.deepEqual(await site.jobs(), []);
  });

  test('is there in the library too', async () => {
    await using scratch = await Scratch.make();
    await using galleon = new GalleonFS({ storagePath: scratch.at('s') });
    await galleon.createVolume('a', 2 ** 20);
    await galleon.writeBlock('a', 7, Buffer.alloc(BLOCK_BYTES, 1), { durable: true });
    const { id } = await galleon.startScrub('a');
    await eventually(async () => (await galleon.jobs()).some((job) => job.id === id && job.state === 'done'));
    assert.equal((await galleon.openVolume('a')).scrub?.finds, 0);
  });
});

/** A running daemon with the volume `hurt`, full of numbered blocks. */
class Site implements AsyncDisposable {
  readonly daemon: GalleonfsDaemon;
  readonly files: StoreFiles;
  readonly image: string;
  readonly #cleanup: AsyncDisposableStack;

  private constructor(daemon: GalleonfsDaemon, image: string, files: StoreFiles, cleanup: AsyncDisposableStack) {
    this.daemon = daemon;
    this.image = image;
    this.files = files;
    this.#cleanup = cleanup;
  }

  static async make(directory?: string): Promise<Site> {
    await using cleanup = new AsyncDisposableStack();
    const scratch = cleanup.use(await Scratch.make());
    const daemon = cleanup.use(await GalleonfsDaemon.start({ directory: directory ?? scratch.at('daemon') }));
    const data = await daemon.createVolume('hurt', '16MiB');
    const [store = ''] = readdirSync(join(daemon.storagePath, 'volumes'));
    const blocks = Array.from({ length: BLOCKS }, (_, block) => versionedBlock(block, 1));
    await scratch.write('image', Buffer.concat(blocks));
    await bash('dd if="$2" of="$1" bs=1M conv=notrunc,fsync status=none', data, scratch.at('image'));
    const files = new StoreFiles(join(daemon.storagePath, 'volumes', store));
    return new Site(daemon, scratch.at('image'), files, cleanup.move());
  }

  payloadOf(block: number): Place {
    const [place, ...more] = this.files.payloads(versionedBlock(block, 1));
    assert.ok(place !== undefined && more.length === 0, 'a block written once is stored once');
    return place;
  }

  async scrub(exitCode: number): Promise<Job> {
    const finished = await this.daemon.tryGalleonfs('scrub', 'hurt', '--wait', '--rate', '1GiB', '--json');
    assert.equal(finished.exitCode, exitCode, finished.stderr + finished.stdout);
    return JSON.parse(finished.stdout) as Job;
  }

  async jobs(): Promise<Job[]> {
    return JSON.parse(await this.daemon.galleonfs('job', 'list', '--json')) as Job[];
  }

  async metrics(): Promise<string> {
    return await (await fetch(`http://${this.daemon.address}/metrics`)).text();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#cleanup.disposeAsync();
  }
}

/** Flips bits of one byte of a file. */
function flip(path: string, offset: number): void {
  const descriptor = openSync(path, 'r+');
  try {
    const byte = Buffer.alloc(1);
    readSync(descriptor, byte, 0, 1, offset);
    writeSync(descriptor, Buffer.of((byte[0] ?? 0) ^ 0x10), 0, 1, offset);
  } finally {
    closeSync(descriptor);
  }
}
