import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmod, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { eventually } from './support/eventually.ts';
import { GalleonfsDaemon } from './support/galleonfs-daemon.ts';
import { Scratch } from './support/scratch.ts';
import { bash, tryBash } from './support/shell.ts';

interface Status {
  readonly pid: number;
  readonly descriptorStore: string;
  readonly volumes: readonly { readonly name: string; readonly mount: { readonly inFlightSurvival: string } | null }[];
}

async function statusOf(daemon: GalleonfsDaemon): Promise<Status> {
  return JSON.parse(await daemon.galleonfs('status', '--json')) as Status;
}

/** A writer that notes what was acknowledged, over the whole life of the daemons below it. */
class SteadyWriter implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #complaints: Promise<string>;

  constructor(data: string) {
    const program = join(import.meta.dirname, 'support/acknowledged-writer.ts');
    const child = spawn(process.execPath, [program, data, '1024', '100000000'], { stdio: ['ignore', 'pipe', 'pipe'] });
    child.stdout.resume();
    this.#complaints = text(child.stderr);
    this.#child = child;
  }

  get failed(): boolean {
    return this.#child.exitCode !== null;
  }

  async complaints(): Promise<string> {
    this.#child.kill('SIGKILL');
    return await this.#complaints;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await ended;
  }
}

describe('mounts and the end of their daemon', { timeout: 300_000 }, () => {
  test('status says who keeps the mounts, and how requests in flight survive', async () => {
    await using scratch = await Scratch.make();
    await using kept = await GalleonfsDaemon.start({ directory: scratch.at('kept') });
    await kept.createVolume('a', '4MiB');
    const { descriptorStore, volumes } = await statusOf(kept);
    assert.equal(descriptorStore, 'supervisor');
    assert.match(volumes[0]?.mount?.inFlightSurvival ?? '', /^(resend|slots)$/);
    assert.match(await kept.galleonfs('status'), /its supervisor keeps the mounts/);

    await using alone = await GalleonfsDaemon.start({ directory: scratch.at('alone'), flags: ['--no-supervisor'] });
    await alone.createVolume('a', '4MiB');
    assert.equal((await statusOf(alone)).descriptorStore, 'none');
    assert.match(await alone.galleonfs('status'), /its mounts fail/);
  });

  test('an upgrade replaces the daemon under a program that writes', async () => {
    await using scratch = await Scratch.make();
    await using daemon = await GalleonfsDaemon.start({ directory: scratch.at('daemon') });
    const data = await daemon.createVolume('a', '4MiB');
    await using writer = new SteadyWriter(data);
    const before = await statusOf(daemon);
    for (let turn = 0; turn < 3; turn += 1) {
      await sleep(300);
      await daemon.galleonfs('upgrade');
    }
    const after = await statusOf(daemon);
    assert.notEqual(after.pid, before.pid);
    await sleep(300);
    assert.equal(writer.failed, false);
    assert.equal(await writer.complaints(), '');
    assert.match(daemon.log(), /hands its mounts over/);
  });

  test('an upgrade is refused where nobody keeps the mounts, and nothing happens', async () => {
    await using scratch = await Scratch.make();
    const flags = ['--no-supervisor'];
    await using daemon = await GalleonfsDaemon.start({ directory: scratch.at('daemon'), flags });
    const data = await daemon.createVolume('a', '4MiB');
    const { exitCode, stderr } = await daemon.tryGalleonfs('upgrade');
    assert.equal(exitCode, 12);
    assert.match(stderr, /RESTART_UNSUPPORTED/);
    await bash('head -c 1 "$1" > /dev/null', data);
  });

  test('a volume mounted elsewhere, read-only, is that again after a crash', async () => {
    await using scratch = await Scratch.make();
    await using daemon = await GalleonfsDaemon.start({ directory: scratch.at('daemon') });
    await daemon.galleonfs('volume', 'create', 'a', '--size', '4MiB', '--no-mount');
    const path = scratch.at('elsewhere');
    await daemon.galleonfs('mount', 'a', path, '-o', 'ro');
    const pid = daemon.servingPid();
    process.kill(pid, 'SIGKILL');
    await daemon.nextServingPid(pid);
    assert.match((await tryBash('echo x > "$1/data"', path)).stderr, /Read-only/);
    await eventually(async () => (await daemon.tryGalleonfs('status')).exitCode === 0);
    await daemon.galleonfs('unmount', 'a');
    assert.notEqual((await tryBash('ls "$1"', path)).exitCode, 0);
  });

  test('mounts that a killed supervisor and daemon left are taken away at the next start', async () => {
    await using scratch = await Scratch.make();
    await using daemon = await GalleonfsDaemon.start({ directory: scratch.at('daemon') });
    const data = await daemon.createVolume('a', '4MiB');
    await daemon.galleonfs('volume', 'create', 'b', '--size', '4MiB', '--no-mount');
    await daemon.galleonfs('mount', 'b', scratch.at('elsewhere'));
    await bash('echo alive > "$1"', data);
    await daemon.killLeavingMounts();
    assert.match((await tryBash('cat "$1"', data)).stderr, /not connected|connection abort/);
    await daemon.restart();
    assert.equal(await bash('head -c 6 "$1"', data), 'alive\n');
    assert.equal((await tryBash('mountpoint -q "$1"', scratch.at('elsewhere'))).exitCode === 0, false);
  });

  test('when no daemon can start any more, the mount fails and `galleonfs unmount` takes it away', async () => {
    await using scratch = await Scratch.make();
    await using daemon = await GalleonfsDaemon.start({ directory: scratch.at('daemon') });
    const data = await daemon.createVolume('a', '4MiB');
    const pid = daemon.servingPid();
    // Something stands in the catalog's place, so that every start fails.
    await rename(join(daemon.storagePath, 'catalog'), join(daemon.storagePath, 'aside'));
    await bash(': > "$1"', join(daemon.storagePath, 'catalog'));
    await chmod(join(daemon.storagePath, 'catalog'), 0o600);
    process.kill(pid, 'SIGKILL');
    // The supervisor tries ten times, and waits longer each time.
    const fails = async (): Promise<boolean> =>
      /not connected|connection abort/.test((await tryBash('timeout 5 cat "$1"', data)).stderr);
    await eventually(fails, 120_000);
    assert.equal(daemon.isMounted('a'), true);
    const said = await daemon.galleonfs('unmount', join(daemon.mountPoint, 'a'));
    assert.match(said, /took away the mount/);
    assert.equal(daemon.isMounted('a'), false);
  });
});
