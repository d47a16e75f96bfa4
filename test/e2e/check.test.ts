/** `galleonfs check` through the real command line: what it finds, what it repairs, and that it changes nothing else. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { cpSync, lstatSync, mkdirSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { GalleonfsDaemon, type Finished } from './support/galleonfs-daemon.ts';
import { Scratch } from './support/scratch.ts';
import { bash } from './support/shell.ts';
import { StoreFiles, type Place } from './support/store-files.ts';
import { BLOCK_BYTES, versionedBlock } from './support/versioned-block.ts';

const BLOCKS = 1024;
const HURT = 700;
const EXIT = { ok: 0, usage: 2, notFound: 3, wrong: 7, locked: 34 };

interface Finding {
  readonly severity: string;
  readonly kind: string;
  readonly file: string;
  readonly fileOffsetBytes: number;
  readonly volumeOffsetBytes?: number;
}

interface Result {
  readonly ok: boolean;
  readonly volumes: readonly {
    readonly name: string;
    readonly report: {
      readonly liveBlocks: number;
      readonly verifiedBlocks: number;
      readonly lostBlocks: number;
      readonly replayEntries: number;
      readonly findings: readonly Finding[];
    } | null;
  }[];
  readonly catalog: readonly string[];
}

describe('galleonfs check', { timeout: 300_000 }, () => {
  test('of a volume that is open is refused with an exit code of its own', async () => {
    await using site = await Site.make();
    await site.daemon.restart();
    const { exitCode, stderr } = await site.daemon.tryGalleonfs('check', 'hurt');
    assert.equal(exitCode, EXIT.locked);
    assert.match(stderr, /STORE_LOCKED/);
  });

  test('of a stopped volume verifies every block and changes no byte and no time', async () => {
    await using site = await Site.make();
    const before = fingerprint(site.daemon.storagePath);
    const { ok, volumes } = await site.check(EXIT.ok, 'hurt');
    assert.equal(ok, true);
    assert.equal(volumes[0]?.report?.liveBlocks, BLOCKS);
    assert.equal(volumes[0].report.verifiedBlocks, BLOCKS);
    assert.deepEqual(fingerprint(site.daemon.storagePath), before);
  });

  test('of a volume whose daemon was killed adds up, with a journal to replay, and changes nothing', async () => {
    await using site = await Site.make();
    await site.daemon.restart();
    await bash(
      'dd if=/dev/urandom of="$1" bs=64K count=40 conv=notrunc,fsync status=none',
      site.daemon.dataPath('hurt'),
    );
    await site.daemon.kill();
    const before = fingerprint(site.daemon.storagePath);
    const { volumes } = await site.check(EXIT.ok, '--all');
    assert.ok(volumes.some(({ report }) => (report?.replayEntries ?? 0) > 0));
    assert.deepEqual(fingerprint(site.daemon.storagePath), before);
  });

  test('finds a rotten payload at its place, which no repair brings back', async () => {
    await using site = await Site.make();
    const payload = site.payloadOf(HURT);
    site.files.flip({ ...payload, offset: payload.offset + 99 });
    const found = await site.findings('hurt');
    assert.deepEqual(
      found.map(({ severity, kind, file, fileOffsetBytes, volumeOffsetBytes }) => ({
        severity,
        kind,
        file,
        fileOffsetBytes,
        volumeOffsetBytes,
      })),
      [
        {
          severity: 'damage',
          kind: 'payload',
          file: payload.file,
          fileOffsetBytes: payload.offset,
          volumeOffsetBytes: HURT * BLOCK_BYTES,
        },
      ],
    );
    await site.check(EXIT.wrong, 'hurt', '--repair', '--yes');
  });

  test('finds a rotten leaf of the map', async () => {
    await using site = await Site.make();
    const place = site.files.mapPages(HURT).at(-1);
    assert.ok(place);
    site.files.flip({ ...place, offset: place.offset + 8 });
    const found = await site.findings('hurt');
    assert.ok(found.some(({ kind, fileOffsetBytes }) => kind === 'map page' && fileOffsetBytes === place.offset));
  });

  for (const [what, damage] of [
    [
      'an entry with one wrong byte',
      (site: Site) => {
        const entry = site.files.summaryEntry(site.payloadOf(HURT));
        site.files.flip({ ...entry, offset: entry.offset + 5 });
      },
    ],
    [
      'a damaged superblock',
      (site: Site) => {
        const place = site.files.newestSuperblock();
        site.files.flip({ ...place, offset: (place.offset ^ BLOCK_BYTES) + 50 });
      },
    ],
    [
      'a damaged copy of a segment header',
      (site: Site) => {
        site.files.flip({ file: site.payloadOf(HURT).file, offset: 40 });
      },
    ],
  ] as const) {
    test(`says what it would do about ${what}, does nothing unasked, and repairs it with --yes`, async () => {
      await using site = await Site.make();
      damage(site);
      const before = fingerprint(site.daemon.storagePath);
      const unasked = await site.daemon.tryGalleonfs('check', 'hurt', '--repair');
      assert.equal(unasked.exitCode, EXIT.usage);
      assert.match(unasked.stderr, /To repair "hurt":/);
      assert.deepEqual(fingerprint(site.daemon.storagePath), before);
      const asked = await site.daemon.tryGalleonfs('check', 'hurt', '--repair', '--yes');
      assert.equal(asked.exitCode, EXIT.ok, asked.stderr);
      assert.match(asked.stdout, /everything adds up, after the repair/);
      await site.check(EXIT.ok, 'hurt');
      await site.daemon.restart();
      await bash('cmp -n "$3" "$1" "$2"', site.daemon.dataPath('hurt'), site.image, String(BLOCKS * BLOCK_BYTES));
    });
  }

  test('--all holds the catalog against the stores', async () => {
    await using site = await Site.make();
    const stores = join(site.daemon.storagePath, 'volumes');
    mkdirSync(join(stores, 'stranger'));
    const { ok, catalog, volumes } = await site.check(EXIT.wrong, '--all');
    assert.equal(ok, false);
    assert.deepEqual(
      volumes.map(({ name }) => name),
      ['hurt', 'well'],
    );
    assert.deepEqual(catalog, [`${join(stores, 'stranger')} belongs to no volume`]);
  });

  test('takes the directory of a store, wherever it is', async () => {
    await using site = await Site.make();
    const copy = join(site.scratch.at('copy'));
    cpSync(site.files.directory, copy, { recursive: true });
    await site.check(EXIT.ok, copy);
  });

  test('of a volume that there is not says so', async () => {
    await using site = await Site.make();
    const { exitCode } = await site.daemon.tryGalleonfs('check', 'nobody');
    assert.equal(exitCode, EXIT.notFound);
  });
});

/** A stopped daemon with the volumes `hurt`, full of numbered blocks, and `well`. */
class Site implements AsyncDisposable {
  readonly daemon: GalleonfsDaemon;
  readonly scratch: Scratch;
  readonly files: StoreFiles;
  readonly image: string;
  readonly #cleanup: AsyncDisposableStack;

  private constructor(daemon: GalleonfsDaemon, scratch: Scratch, files: StoreFiles, cleanup: AsyncDisposableStack) {
    this.daemon = daemon;
    this.scratch = scratch;
    this.files = files;
    this.image = scratch.at('image');
    this.#cleanup = cleanup;
  }

  static async make(): Promise<Site> {
    await using cleanup = new AsyncDisposableStack();
    const scratch = cleanup.use(await Scratch.make());
    const daemon = cleanup.use(await GalleonfsDaemon.start({ directory: scratch.at('daemon') }));
    const data = await daemon.createVolume('hurt', '16MiB');
    const [store = ''] = readdirSync(join(daemon.storagePath, 'volumes'));
    await daemon.createVolume('well', '4MiB');
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

  async check(exitCode: number, ...args: string[]): Promise<Result> {
    const finished: Finished = await this.daemon.tryGalleonfs('check', ...args, '--json');
    assert.equal(finished.exitCode, exitCode, finished.stderr + finished.stdout);
    return JSON.parse(finished.stdout) as Result;
  }

  async findings(volume: string): Promise<readonly Finding[]> {
    const { volumes } = await this.check(EXIT.wrong, volume);
    return volumes[0]?.report?.findings ?? [];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#cleanup.disposeAsync();
  }
}

/** Content, times and modes of everything below a directory. */
function fingerprint(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .sort()
    .map((name) => {
      const path = join(directory, name);
      const status = lstatSync(path, { bigint: true });
      const content = status.isFile() ? createHash('sha256').update(readFileSync(path)).digest('hex') : '';
      return `${name} ${status.mode} ${status.size} ${status.mtimeNs} ${status.ctimeNs} ${content}`;
    });
}
