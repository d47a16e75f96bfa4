/**
 * `node test/e2e/must-show.ts`: all promises that are shown on real mounts, in one run of about half an hour, with a line
 * PASS or FAIL and figures for each. As root, with everything installed that the tests can use. Exit code 1 if any failed.
 *
 *   --only tests,idle,peers    a part of it
 *   --rounds N                 of the peers' bench (3)
 */
import { execFile } from 'node:child_process';
import { globSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from 'node:test';
import { finished } from 'node:stream/promises';
import { parseArgs, promisify } from 'node:util';
import { measureIdleCost } from '../../bench/idle-cost.ts';
import type { Standing } from '../../bench/standings.ts';
import { Scratch } from './support/scratch.ts';

const { values } = parseArgs({
  options: { only: { type: 'string', default: 'tests,idle,peers' }, rounds: { type: 'string', default: '3' } },
});

let failures = 0;
const parts: Record<string, () => Promise<void>> = { tests, idle, peers };
for (const name of values.only.split(',')) {
  const part = parts[name];
  if (part === undefined) throw new Error(`--only ${name}: there are ${Object.keys(parts).join(', ')}`);
  await part();
}
process.stdout.write(failures === 0 ? 'all passed\n' : `${failures} failed\n`);
process.exitCode = failures === 0 ? 0 : 1;

function show(passed: boolean, what: string): void {
  if (!passed) failures += 1;
  process.stdout.write(`${passed ? 'PASS' : 'FAIL'} ${what}\n`);
}

/** The tests through mounts, the long ones too, with larger trees and amounts of data. */
async function tests(): Promise<void> {
  process.env['GALLEONFS_TEST_LONG'] = '1';
  const files = globSync(join(import.meta.dirname, '{mount,filesystem,corruption}*.test.ts')).sort();
  const stream = run({ files, concurrency: 1 });
  stream.on('test:diagnostic', ({ nesting, message }) => {
    if (nesting > 0) process.stdout.write(`     ${message}\n`);
  });
  stream.on('test:pass', ({ name, details, skip }) => {
    if (details.type === 'suite') return;
    if (skip === undefined) show(true, `${name} (${inSeconds(details.duration_ms)})`);
    else process.stdout.write(`SKIP ${name}: ${String(skip)}\n`);
  });
  stream.on('test:fail', ({ name, details, file }) => {
    if (details.type === 'suite') return;
    show(false, `${name} (${inSeconds(details.duration_ms)})`);
    process.stdout.write(`     ${file ?? ''}: ${String(details.error.cause)}\n`);
  });
  stream.resume();
  await finished(stream);
}

function inSeconds(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(1)} s`;
}

async function idle(): Promise<void> {
  const cost = await measureIdleCost();
  show(cost.cpuShare < 0.01, `eight idle volumes use ${(cost.cpuShare * 100).toFixed(2)}% of a core (goal: under 1%)`);
  show(cost.residentMib < 220, `eight idle volumes use ${cost.residentMib.toFixed(0)} MiB (goal: under 220 MiB)`);
  const scattered = cost.residentAfterScatteredWritesMib;
  show(scattered < 220, `after writes all over 64 TiB it is ${scattered.toFixed(0)} MiB (goal: under 220 MiB)`);
}

/** The bench, and what it must show. */
async function peers(): Promise<void> {
  await using scratch = await Scratch.make();
  const bench = join(import.meta.dirname, '../../bench/main.ts');
  const args = [bench, '--rounds', values.rounds, '--output', scratch.path, '--quiet'];
  const { stdout } = await promisify(execFile)(process.execPath, args, { maxBuffer: 2 ** 24 });
  process.stdout.write(stdout);
  const { medians } = JSON.parse(await readFile(scratch.at('peers.json'), 'utf8')) as { medians: Standing[] };
  const iops = (job: string, contestant: string): number =>
    medians.find((entry) => entry.job === job && entry.contestant === contestant)?.iops ?? Number.NaN;
  const atLeast = (job: string, times: number, other: string): void => {
    const ratio = iops(job, 'galleonfs') / iops(job, other);
    show(ratio >= times, `${job}: ${ratio.toFixed(2)} times ${other} (goal: ${times})`);
  };
  for (const job of new Set(medians.map((entry) => entry.job))) atLeast(job, 1, 'qsd-qcow2');
  for (const job of ['rand-read-4k-d16', 'rand-write-4k-d16']) {
    atLeast(job, 2.5, 'qsd-qcow2');
    atLeast(job, 0.6, 'fuse-ceiling');
  }
  for (const job of ['rand-write-4k-d1', 'rand-write-4k-d16']) atLeast(job, 1.2, 'raw');
  atLeast('fdatasync-4k-w4', 2, 'qsd-qcow2');
}
