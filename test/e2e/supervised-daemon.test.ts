/** The daemon below its supervisor, as `galleonfs` starts it, and without one. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, test } from 'node:test';
import { eventually } from './support/eventually.ts';
import { GalleonfsDaemon } from './support/galleonfs-daemon.ts';
import { Scratch } from './support/scratch.ts';
import { bash } from './support/shell.ts';

const LAUNCHER = resolve(import.meta.dirname, '../../bin/galleonfs');

function programOf(pid: number): string {
  return basename(readlinkSync(`/proc/${pid}/exe`));
}

describe('a daemon below its supervisor', { timeout: 120_000 }, () => {
  test('is replaced after a kill -9, and serves what was acknowledged', async () => {
    await using scratch = await Scratch.make();
    await using daemon = await GalleonfsDaemon.start({ directory: scratch.at('daemon') });
    assert.equal(programOf(daemon.supervisorPid), 'galleonfs-supervisor');
    assert.match(readFileSync(`/proc/${daemon.pid}/environ`, 'latin1'), /\0WATCHDOG_USEC=30000000\0/);
    const data = await daemon.createVolume('kept', '4MiB');
    await bash('echo acknowledged > "$1"', data);
    const { pid, supervisorPid } = daemon;
    daemon.killDaemon();
    await daemon.answering();
    assert.notEqual(daemon.pid, pid);
    assert.equal(daemon.supervisorPid, supervisorPid);
    assert.match(daemon.log(), /"level":"warn".*the daemon was ended by SIGKILL/);
    await eventually(() => daemon.isMounted('kept'));
    assert.equal(await bash('head -n 1 "$1"', data), 'acknowledged\n');
    await daemon.stop();
  });

  test('takes its supervisor with it when it is stopped through its socket', async () => {
    await using scratch = await Scratch.make();
    await using daemon = await GalleonfsDaemon.start({ directory: scratch.at('daemon') });
    const { supervisorPid } = daemon;
    await daemon.galleonfs('stop');
    await eventually(() => !isThere(supervisorPid));
  });

  test('goes on when its supervisor is killed, and can still be stopped', async () => {
    await using scratch = await Scratch.make();
    await using daemon = await GalleonfsDaemon.start({ directory: scratch.at('daemon') });
    const data = await daemon.createVolume('a', '1MiB');
    process.kill(daemon.supervisorPid, 'SIGKILL');
    await bash('echo x > "$1"', data);
    await daemon.galleonfs('stop');
    assert.equal(daemon.isMounted('a'), false);
  });
});

describe('a daemon without a supervisor', { timeout: 120_000 }, () => {
  test('is what --no-supervisor and noSupervisor in the file give', async () => {
    await using scratch = await Scratch.make();
    writeFileSync(scratch.at('alone.json'), JSON.stringify({ noSupervisor: true }));
    for (const flags of [['--no-supervisor'], ['--config', scratch.at('alone.json')]]) {
      await using daemon = await GalleonfsDaemon.start({ directory: scratch.at('daemon'), flags });
      assert.equal(daemon.pid, daemon.supervisorPid);
      assert.equal(programOf(daemon.pid), 'node');
      await daemon.stop();
    }
  });

  test('is what an outer supervisor gets', async () => {
    await using scratch = await Scratch.make();
    const child = spawn(LAUNCHER, ['--storage-path', '/dev/null/none', '--mount-point', scratch.at('m')], {
      env: { ...process.env, NOTIFY_SOCKET: scratch.at('notify') },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const [said, [exitCode]] = await Promise.all([text(child.stderr), once(child, 'exit') as Promise<[number]>]);
    assert.equal(exitCode, 2);
    assert.match(said, /not a directory/);
    assert.doesNotMatch(said, /supervisor/);
  });
});

function isThere(pid: number): boolean {
  try {
    readFileSync(`/proc/${pid}/stat`);
    return true;
  } catch {
    return false;
  }
}
