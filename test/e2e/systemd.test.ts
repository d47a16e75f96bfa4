/** The service as it is installed, under a real systemd: it is systemd that keeps the mounts here. */
import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { eventually } from './support/eventually.ts';
import { isAvailable, needs } from './support/needs.ts';
import { Scratch } from './support/scratch.ts';
import { SystemdNamespace } from './support/systemd-namespace.ts';

const LAUNCHER = resolve(import.meta.dirname, '../../bin/galleonfs');
const NEEDED = ['root', '/lib/systemd/systemd', 'unshare', 'nsenter', 'fio'];

describe('the service under systemd', { timeout: 300_000 }, () => {
  const ends = new AsyncDisposableStack();
  let scratch: Scratch;
  let namespace: SystemdNamespace;

  /** Runs `galleonfs` inside, for the service. */
  const galleonfs = async (...args: string[]): Promise<string> =>
    await namespace.bash('"$@"', LAUNCHER, '--storage-path', scratch.at('store'), ...args);
  const mainPid = async (): Promise<number> =>
    Number(await namespace.bash('systemctl show --property MainPID --value galleonfs'));

  before(async () => {
    if (!isAvailable(...NEEDED)) return;
    scratch = ends.use(await Scratch.make());
    namespace = ends.use(await SystemdNamespace.boot());
    const settings = ['--storage-path', scratch.at('store'), '--mount-point', scratch.at('volumes')];
    await namespace.bash('"$@"', LAUNCHER, ...settings, '--bind-address', '127.0.0.1:0', 'install-service', '--now');
  });
  after(async () => {
    await ends.disposeAsync();
  });

  test('is active when it serves, and says that systemd keeps the mounts', async (t) => {
    if (!needs(t, ...NEEDED)) return;
    assert.equal((await namespace.bash('systemctl is-active galleonfs')).trim(), 'active');
    await galleonfs('volume', 'create', 'a', '--size', '128MiB');
    assert.match(await galleonfs('status'), /systemd keeps the mounts/);
  });

  test('is killed again and again under a verifying load, which sees no error', async (t) => {
    if (!needs(t, ...NEEDED)) return;
    const load = namespace.bash(
      `fio --name=verify --filename="$1/a/data" --rw=randwrite --bsrange=4k-64k --blockalign=4k --ioengine=libaio --iodepth=16 \\
        --direct=1 --fsync=32 --size=96m --loops=12 --randrepeat=0 --verify=crc32c --verify_fatal=1 --verify_state_save=0 --do_verify=1 > /dev/null`,
      scratch.at('volumes'),
    );
    load.catch(() => undefined); // Awaited below.
    for (let kill = 0; kill < 6; kill += 1) {
      const pid = await mainPid();
      await namespace.bash('sleep 0.$((RANDOM % 10)); kill -9 "$1"', pid);
      await namespace.bash(
        'while [ "$(systemctl show -p MainPID --value galleonfs)" = "$1" ]; do sleep 0.05; done',
        pid,
      );
    }
    await load;
    // The last one may still be starting.
    await eventually(async () => (await galleonfs('status').catch(() => '')).includes('running'));
  });

  test('is restarted under a file that stays open', async (t) => {
    if (!needs(t, ...NEEDED)) return;
    const pid = await mainPid();
    await namespace.bash(
      'exec 3<> "$1/a/data"; printf kept >&3; systemctl restart galleonfs; printf " on" >&3; exec 3>&-; [ "$(head -c 7 "$1/a/data")" = "kept on" ]',
      scratch.at('volumes'),
    );
    assert.notEqual(await mainPid(), pid);
  });

  test('has its volumes mounted by units that only pause when it is restarted or killed', async (t) => {
    if (!needs(t, ...NEEDED)) return;
    await galleonfs('volume', 'create', 'by-unit', '--size', '16MiB', '--no-mount');
    await namespace.bash('systemctl start galleonfs-mount@by-unit; mountpoint -q "$1/by-unit"', scratch.at('volumes'));
    await namespace.bash('systemctl restart galleonfs');
    const pid = await mainPid();
    await namespace.bash('kill -9 "$1"', pid);
    await namespace.bash('while [ "$(systemctl show -p MainPID --value galleonfs)" = "$1" ]; do sleep 0.05; done', pid);
    await namespace.bash('until systemctl is-active -q galleonfs; do sleep 0.05; done');
    await namespace.bash(
      'systemctl is-active -q galleonfs-mount@by-unit; mountpoint -q "$1/by-unit"',
      scratch.at('volumes'),
    );
    await namespace.bash('systemctl stop galleonfs-mount@by-unit; ! mountpoint -q "$1/by-unit"', scratch.at('volumes'));
    assert.equal((await namespace.bash('systemctl is-active galleonfs')).trim(), 'active');
  });

  test('is tried again and again while a setting is wrong, and serves once it is right', async (t) => {
    if (!needs(t, ...NEEDED)) return;
    const file = '/etc/galleonfs/galleonfs.json';
    await namespace.bash(
      'cp "$1" "$1.right"; echo "{}x" > "$1"; kill -9 "$(systemctl show -p MainPID --value galleonfs)"',
      file,
    );
    const restarts = 'systemctl show -p NRestarts --value galleonfs';
    const before = Number(await namespace.bash(restarts));
    await namespace.bash(`until [ "$(${restarts})" -ge ${before + 2} ]; do sleep 0.1; done`);
    await namespace.bash('mv "$1.right" "$1"; until systemctl is-active -q galleonfs; do sleep 0.05; done', file);
    assert.match(await galleonfs('volume', 'list'), /mounted/);
    await namespace.bash('printf x | dd of="$1/a/data" conv=notrunc status=none', scratch.at('volumes'));
  });

  test('is stopped with its mounts, and taken away without its volumes', async (t) => {
    if (!needs(t, ...NEEDED)) return;
    await namespace.bash('systemctl stop galleonfs; ! mountpoint -q "$1/a"', scratch.at('volumes'));
    await namespace.bash('"$1" uninstall-service; ! systemctl cat galleonfs 2> /dev/null', LAUNCHER);
    await namespace.bash('[ -n "$(ls "$1/volumes")" ]', scratch.at('store'));
  });
});
