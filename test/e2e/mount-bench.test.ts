import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { mountPoints } from './support/galleonfs-daemon.ts';
import { needs } from './support/needs.ts';
import { Scratch } from './support/scratch.ts';

const bench = join(import.meta.dirname, '../../bench/main.ts');
const run = promisify(execFile);

describe('the bench', { timeout: 180_000 }, () => {
  test('runs a short round and writes its results', async (t) => {
    if (!needs(t, 'fio', 'root')) return;
    await using scratch = await Scratch.make();
    const where = ['--scratch', scratch.path, '--output', scratch.at('results'), '--quiet'];
    const short = ['--rounds', '1', '--seconds', '1', '--size', '64', '--peers', 'raw,galleonfs'];
    const jobs = 'seq-write-1m,rand-read-4k-d16,fdatasync-4k-w4,buffered-write-1m';
    const { stdout } = await run(process.execPath, [bench, ...short, ...where, '--jobs', jobs]);
    assert.match(stdout, /raw +galleonfs\n/);
    const { medians } = JSON.parse(await readFile(scratch.at('results/peers.json'), 'utf8')) as {
      medians: { contestant: string; iops: number; p99Us: number }[];
    };
    assert.equal(medians.length, 2 * 4);
    for (const { iops, p99Us } of medians) assert.ok(iops > 0 && p99Us > 0);
    assert.match(await readFile(scratch.at('results/peers.svg'), 'utf8'), /^<svg .*galleonfs.*<\/svg>\n$/s);
  });

  test('cleans up when it is interrupted', async (t) => {
    if (!needs(t, 'fio', 'root')) return;
    await using scratch = await Scratch.make();
    const args = [
      bench,
      '--scratch',
      scratch.path,
      '--output',
      scratch.at('results'),
      '--quiet',
      '--peers',
      'raw,galleonfs',
    ];
    const running = spawn(process.execPath, [...args, '--size', '64'], { stdio: 'ignore' });
    const ended = once(running, 'exit');
    await sleep(5000);
    running.kill('SIGINT');
    assert.deepEqual(await ended, [130, null]);
    assert.deepEqual(
      mountPoints().filter((path) => path.startsWith(scratch.path)),
      [],
    );
  });
});
