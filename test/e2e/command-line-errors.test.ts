/** What a user gets for bad input: a clear message on stderr, nothing on stdout, and an exit code of its own. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join, resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, test } from 'node:test';
import { useDaemon } from './support/daemon-fixture.ts';
import { GalleonfsDaemon, type Finished } from './support/galleonfs-daemon.ts';
import { needs } from './support/needs.ts';
import { Scratch } from './support/scratch.ts';
import { bash } from './support/shell.ts';

const LAUNCHER = resolve(import.meta.dirname, '../../bin/galleonfs');

async function galleonfs(...args: string[]): Promise<Finished> {
  const child = spawn(LAUNCHER, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const [stdout, stderr, [exitCode]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close') as Promise<[number]>,
  ]);
  return { exitCode, stdout, stderr };
}

describe('bad input to a running daemon', { timeout: 120_000 }, () => {
  const fixture = useDaemon({ flags: ['--setup-defaults'] });

  const cases: [what: string, args: string[], exitCode: number, message: RegExp][] = [
    ['an unknown volume', ['volume', 'show', 'nobody'], 3, /there is no volume "nobody"/],
    ['mounting an unknown volume', ['mount', 'nobody'], 3, /"nobody"/],
    ['deleting an unknown volume', ['volume', 'delete', 'nobody', '--yes'], 3, /"nobody"/],
    ['a name with a slash', ['volume', 'create', 'a/b', '--size', '1GiB'], 20, /"a\/b" contains "\/"/],
    ['the name ..', ['volume', 'create', '..', '--size', '1GiB'], 20, /"\.\."/],
    ['showing a path', ['volume', 'show', '../../etc'], 20, /contains "\/"/],
    ['size 0', ['volume', 'create', 'a', '--size', '0'], 21, /1 MiB to 64 TiB/],
    ['a size above the limit', ['volume', 'create', 'a', '--size', '65TiB'], 21, /65 TiB/],
    ['a size that is no multiple of the block size', ['volume', 'create', 'a', '-s', '1048577'], 22, /1052672/],
    ['a size that is none', ['volume', 'create', 'a', '--size', 'huge'], 2, /"huge" is not a size/],
    ['a bad block size', ['volume', 'create', 'a', '-s', '1GiB', '-b', '5000'], 23, /4096, 8192/],
    ['a class not built yet', ['volume', 'create', 'a', '-s', '1GiB', '-c', 'encrypted-storage'], 12, /encryption/],
    ['an unknown class', ['volume', 'create', 'a', '-s', '1GiB', '-c', 'gold'], 3, /"gold"/],
    ['a bad mount option', ['volume', 'create', 'a', '-s', '1GiB', '-o', 'fast'], 2, /"fast"/],
    ['an unknown command', ['frobnicate'], 2, /no command "frobnicate"/],
    ['an unknown option', ['volume', 'list', '--fast'], 2, /--fast/],
    ['a missing option', ['volume', 'create', 'a'], 2, /--size/],
  ];
  for (const [what, args, exitCode, message] of cases) {
    test(`${what} ends with exit code ${exitCode}`, async () => {
      const finished = await fixture.daemon.tryGalleonfs(...args);
      assert.match(finished.stderr, message);
      assert.equal(finished.exitCode, exitCode);
      assert.equal(finished.stdout, '');
      assert.deepEqual(readdirSync(fixture.daemon.mountPoint), []);
    });
  }

  test('an existing name ends with exit code 4', async () => {
    const { daemon } = fixture;
    await daemon.createVolume('there', '1MiB');
    const finished = await daemon.tryGalleonfs('volume', 'create', 'there', '--size', '2MiB');
    assert.equal(finished.exitCode, 4);
    assert.match(finished.stderr, /"there" exists already/);
    assert.equal((await daemon.showVolume('there'))['sizeBytes'], 1024 ** 2);
    await daemon.galleonfs('volume', 'delete', 'there', '--yes');
  });

  test('deleting without --yes where nobody can be asked deletes nothing', async () => {
    const { daemon } = fixture;
    await daemon.createVolume('kept', '1MiB');
    assert.equal((await daemon.tryGalleonfs('volume', 'delete', 'kept')).exitCode, 2);
    await daemon.showVolume('kept');
    await daemon.galleonfs('volume', 'delete', 'kept', '--yes');
  });

  test('with --json the error on stderr is a problem object', async () => {
    const { stderr } = await fixture.daemon.tryGalleonfs('volume', 'show', 'nobody', '--json');
    const problem = JSON.parse(stderr) as Record<string, unknown>;
    assert.equal(problem['code'], 'VOLUME_NOT_FOUND');
    assert.equal(problem['status'], 404);
  });
});

describe('bad mount points', { timeout: 120_000 }, () => {
  const fixture = useDaemon();

  async function mounting(path: string): Promise<Finished> {
    const { daemon } = fixture;
    await daemon.galleonfs('volume', 'create', 'a', '--size', '1MiB', '--no-mount');
    const finished = await daemon.tryGalleonfs('mount', 'a', path);
    assert.equal((await daemon.showVolume('a'))['state'], 'unmounted');
    await daemon.galleonfs('volume', 'delete', 'a', '--yes');
    return finished;
  }

  test('a file ends with exit code 24', async () => {
    await fixture.scratch.write('file', Buffer.of());
    const { exitCode, stderr } = await mounting(fixture.scratch.at('file'));
    assert.equal(exitCode, 24);
    assert.match(stderr, /not a directory/);
  });

  test('a directory that is not empty ends with exit code 25, and what is in it stays', async () => {
    mkdirSync(fixture.scratch.at('full'));
    await fixture.scratch.write('full/precious', Buffer.from('x'));
    const { exitCode, stderr } = await mounting(fixture.scratch.at('full'));
    assert.equal(exitCode, 25);
    assert.match(stderr, /"precious"/);
    assert.deepEqual(readdirSync(fixture.scratch.at('full')), ['precious']);
  });

  test('a path that is already mounted ends with exit code 26', async () => {
    await fixture.daemon.createVolume('other', '1MiB');
    const { exitCode, stderr } = await mounting(join(fixture.daemon.mountPoint, 'other'));
    assert.equal(exitCode, 26);
    assert.match(stderr, /already mounted/);
  });

  test('a path inside a mounted volume ends with exit code 24', async () => {
    const { exitCode, stderr } = await mounting(join(fixture.daemon.mountPoint, 'other', 'inner'));
    assert.equal(exitCode, 24);
    assert.match(stderr, /inside the mounted volume/);
  });

  test('a volume whose own mount point is in the way is not made', async () => {
    const { daemon } = fixture;
    writeFileSync(join(daemon.mountPoint, 'blocked'), '');
    assert.equal((await daemon.tryGalleonfs('volume', 'create', 'blocked', '--size', '1MiB')).exitCode, 24);
    assert.equal((await daemon.tryGalleonfs('volume', 'show', 'blocked')).exitCode, 3);
  });
});

describe('a storage path without space', { timeout: 120_000 }, () => {
  test('makes no volume, ends with exit code 8, and leaves nothing behind', async (t) => {
    if (!needs(t, 'root')) return;
    await using scratch = await Scratch.make();
    mkdirSync(scratch.at('disk'));
    await bash('mount -t tmpfs -o size=10m tmpfs "$1"', scratch.at('disk'));
    try {
      await using daemon = await GalleonfsDaemon.start({ directory: scratch.at('disk/daemon') });
      await daemon.createVolume('small', '16MiB');
      const { exitCode, stderr } = await daemon.tryGalleonfs('volume', 'create', 'large', '--size', '64TiB');
      assert.equal(exitCode, 8);
      assert.match(stderr, /no space left/);
      assert.equal((await daemon.tryGalleonfs('volume', 'show', 'large')).exitCode, 3);
      assert.equal(readdirSync(join(daemon.storagePath, 'volumes')).length, 1);
      await bash('head -c 4096 /dev/urandom > "$1"', daemon.dataPath('small'));
    } finally {
      await bash('umount --lazy "$1"', scratch.at('disk'));
    }
  });
});

describe('a daemon that cannot start', { timeout: 120_000 }, () => {
  const fixture = useDaemon();

  test('on a storage path in use ends with exit code 27 and names the process', async () => {
    const { daemon, scratch } = fixture;
    const args = ['--storage-path', daemon.storagePath, '--mount-point', scratch.at('m')];
    const { exitCode, stderr } = await galleonfs(...args, '--bind-address', '127.0.0.1:0');
    assert.equal(exitCode, 27);
    assert.match(stderr, new RegExp(`in use by process ${daemon.pid}`));
    await daemon.galleonfs('status');
  });

  test('on a port in use ends with exit code 28 and mounts nothing', async () => {
    await using scratch = await Scratch.make();
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const args = ['--storage-path', scratch.at('s'), '--mount-point', scratch.at('m')];
    const { exitCode, stderr } = await galleonfs(...args, '--bind-address', `127.0.0.1:${port}`);
    server.close();
    assert.equal(exitCode, 28);
    assert.match(stderr, new RegExp(`127.0.0.1:${port} is in use`));
  });

  test('on a storage path that is a file ends with exit code 2', async () => {
    await using scratch = await Scratch.make();
    await scratch.write('file', Buffer.of());
    const { exitCode, stderr } = await galleonfs(
      '--storage-path',
      scratch.at('file'),
      '--mount-point',
      scratch.at('m'),
    );
    assert.equal(exitCode, 2);
    assert.match(stderr, /not a directory/);
  });

  test('on a mount point that is a file ends with exit code 24', async () => {
    await using scratch = await Scratch.make();
    await scratch.write('file', Buffer.of());
    const { exitCode, stderr } = await galleonfs(
      '--storage-path',
      scratch.at('s'),
      '--mount-point',
      scratch.at('file'),
    );
    assert.equal(exitCode, 24);
    assert.match(stderr, /not a directory/);
  });

  test('on a bad setting ends with exit code 29', async () => {
    for (const flag of ['--bind-address=99', '--fuse-driver=fast', '--cache-size=1K', '--config=/does/not/exist']) {
      const { exitCode, stderr } = await galleonfs(flag);
      assert.equal(exitCode, 29, flag);
      assert.match(stderr, /CONFIG_INVALID/);
    }
  });

  test('a subcommand without a daemon ends with exit code 30 and says how to start one', async () => {
    await using scratch = await Scratch.make();
    const { exitCode, stderr } = await galleonfs('status', '--storage-path', scratch.at('s'));
    assert.equal(exitCode, 30);
    assert.match(stderr, /start one with "galleonfs --storage-path/);
  });
});
