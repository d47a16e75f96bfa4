import assert from 'node:assert/strict';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { useDaemon } from './support/daemon-fixture.ts';
import { GalleonfsDaemon } from './support/galleonfs-daemon.ts';
import { Scratch } from './support/scratch.ts';
import { bash } from './support/shell.ts';
import { whileHeldOpen } from './support/while-held-open.ts';

describe('the life of a volume', { timeout: 120_000 }, () => {
  const fixture = useDaemon();

  test('created, listed, shown, unmounted, mounted elsewhere, deleted', async () => {
    const { daemon, scratch } = fixture;
    await daemon.galleonfs(
      'volume',
      'create',
      'a',
      '--size',
      '4MiB',
      '-b',
      '8KiB',
      '--label',
      'team=x',
      '-l',
      'tier=1',
    );
    assert.match(await daemon.galleonfs('volume', 'list'), /^NAME.*\na +mounted +4 MiB/);
    const shown = await daemon.showVolume('a');
    assert.equal(shown['blockSizeBytes'], 8192);
    assert.deepEqual(shown['labels'], { team: 'x', tier: '1' });
    await bash('echo hello > "$1"', daemon.dataPath('a'));

    await daemon.galleonfs('unmount', join(daemon.mountPoint, 'a'));
    assert.equal(daemon.isMounted('a'), false);
    assert.deepEqual(readdirSync(daemon.mountPoint), []);

    await daemon.galleonfs('mount', 'a', scratch.at('elsewhere'), '-o', 'ro,mode=440,uid=1234');
    assert.equal(await bash('head -c 6 "$1"', scratch.at('elsewhere/data')), 'hello\n');
    assert.equal(await bash('stat -c "%a %u %s" "$1"', scratch.at('elsewhere/data')), '440 1234 4194304\n');
    await assert.rejects(bash('echo no > "$1"', scratch.at('elsewhere/data')));

    await daemon.galleonfs('volume', 'delete', 'a', '--yes');
    assert.deepEqual(JSON.parse(await daemon.galleonfs('volume', 'list', '--json')), []);
    assert.deepEqual(readdirSync(join(daemon.storagePath, 'volumes')), []);
  });

  test('metadata beside data say what the volume is', async () => {
    const { daemon } = fixture;
    const data = await daemon.createVolume('described', '1MiB');
    const metadata = JSON.parse(await bash('cat "$1"', join(data, '../.galleonfs_metadata'))) as Record<
      string,
      unknown
    >;
    assert.equal(metadata['name'], 'described');
    assert.equal(metadata['id'], (await daemon.showVolume('described'))['id']);
    assert.match(await bash('cat "$1"', join(data, '../README.txt')), /volume "described"/);
  });

  test('a volume with an open file is neither unmounted nor deleted, unless lazily or by force', async () => {
    const { daemon } = fixture;
    const data = await daemon.createVolume('busy', '1MiB');
    await whileHeldOpen(data, async () => {
      assert.equal((await daemon.tryGalleonfs('unmount', 'busy')).exitCode, 6);
      assert.equal((await daemon.tryGalleonfs('volume', 'delete', 'busy', '--yes')).exitCode, 6);
      assert.equal(daemon.isMounted('busy'), true);
      await daemon.galleonfs('unmount', 'busy', '--lazy');
      assert.equal(daemon.isMounted('busy'), false);
      await daemon.galleonfs('volume', 'delete', 'busy', '--yes', '--force');
    });
  });

  test('a mount that umount(8) took away is noticed, and can be mounted again', async () => {
    const { daemon } = fixture;
    const data = await daemon.createVolume('taken', '1MiB');
    await bash('umount "$1"', join(data, '..'));
    await daemon.galleonfs('mount', 'taken');
    await bash('echo again > "$1"', data);
  });
});

describe('a daemon that starts and stops', { timeout: 120_000 }, () => {
  test('keeps its storage path to itself', async () => {
    await using scratch = await Scratch.make();
    await using daemon = await GalleonfsDaemon.start({ directory: scratch.at('daemon') });
    await daemon.createVolume('a', '1MiB');
    for (const part of ['catalog', 'volumes', `volumes/${String((await daemon.showVolume('a'))['id'])}`]) {
      assert.equal(statSync(join(daemon.storagePath, part)).mode & 0o777, 0o700, part);
    }
    assert.equal(statSync(join(daemon.storagePath, 'control.sock')).mode & 0o777, 0o600);
  });

  test('"galleonfs stop" unmounts everything and returns when the process is gone', async () => {
    await using scratch = await Scratch.make();
    await using daemon = await GalleonfsDaemon.start({ directory: scratch.at('daemon') });
    await daemon.createVolume('a', '1MiB');
    const { pid } = daemon;
    await daemon.galleonfs('stop');
    assert.throws(() => process.kill(pid, 0));
    assert.equal(daemon.isMounted('a'), false);
    assert.equal((await daemon.tryGalleonfs('status')).exitCode, 30);
    assert.deepEqual(readdirSync(daemon.mountPoint), []);
  });

  test('a stop waits for open files only so long, then unmounts lazily', async () => {
    await using scratch = await Scratch.make();
    await using daemon = await GalleonfsDaemon.start({ directory: scratch.at('daemon') });
    const data = await daemon.createVolume('a', '1MiB');
    await whileHeldOpen(data, async () => await daemon.stop());
    assert.equal(daemon.isMounted('a'), false);
    assert.match(daemon.log(), /"lazy":true/);
  });

  test('mounts volumes again with the path and options they had, and not those created with --no-mount', async () => {
    await using scratch = await Scratch.make();
    await using daemon = await GalleonfsDaemon.start({ directory: scratch.at('daemon') });
    await daemon.createVolume('plain', '1MiB');
    await daemon.galleonfs('volume', 'create', 'hidden', '--size', '1MiB', '--no-mount');
    await daemon.galleonfs('volume', 'create', 'moved', '--size', '1MiB', '--no-mount');
    await daemon.galleonfs('volume', 'create', 'moved2', '--size', '1MiB');
    await daemon.galleonfs('unmount', 'moved2');
    await daemon.galleonfs('mount', 'moved2', scratch.at('there'), '-o', 'ro');
    await daemon.stop();
    await daemon.restart();
    assert.equal(daemon.isMounted('plain'), true);
    assert.equal(daemon.isMounted('hidden'), false);
    const { mount } = (await daemon.showVolume('moved2')) as {
      mount: { path: string; options: { readOnly: boolean } };
    };
    assert.equal(mount.path, scratch.at('there'));
    assert.equal(mount.options.readOnly, true);
  });

  test('a mount point that is in the way at a start fails that volume only', async () => {
    await using scratch = await Scratch.make();
    await using daemon = await GalleonfsDaemon.start({ directory: scratch.at('daemon') });
    await daemon.createVolume('bad', '1MiB');
    await daemon.createVolume('good', '1MiB');
    await daemon.stop();
    await bash('touch "$1"', join(daemon.mountPoint, 'bad'));
    await daemon.restart();
    assert.equal(daemon.isMounted('good'), true);
    const bad = (await daemon.showVolume('bad')) as { state: string; reason: { code: string } };
    assert.equal(bad.state, 'failed');
    assert.equal(bad.reason.code, 'MOUNT_POINT_NOT_DIRECTORY');
    assert.match(await daemon.galleonfs('status'), /! bad: .*not a directory/);
    await bash('rm "$1"', join(daemon.mountPoint, 'bad'));
    await daemon.galleonfs('mount', 'bad');
    assert.equal((await daemon.showVolume('bad'))['state'], 'mounted');
  });
});
