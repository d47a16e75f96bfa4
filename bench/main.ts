/**
 * `npm run bench`: fio through the mount, beside the systems a user could pick instead. Needs root for the contestants
 * that mount. Prints medians, and writes peers.json and peers.svg into the output directory.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { missing, type Contestant } from './contestant.ts';
import { btrfs } from './contestants/btrfs.ts';
import { fuseCeiling } from './contestants/fuse-ceiling.ts';
import { galleonfs, galleonfsPortable } from './contestants/galleonfs.ts';
import { nbdfuse } from './contestants/nbdfuse.ts';
import { qemuQcow2, qemuRaw } from './contestants/qemu-storage-daemon.ts';
import { raw } from './contestants/raw.ts';
import { jobs as allJobs } from './jobs.ts';
import { describeMachine } from './machine.ts';
import { plot } from './plot.ts';
import { standings } from './standings.ts';
import { table } from './table.ts';
import { hold } from './tournament.ts';

const everybody = [raw, fuseCeiling, qemuRaw, qemuQcow2, nbdfuse, btrfs, galleonfs, galleonfsPortable];
const byDefault = everybody.filter((contestant) => contestant !== galleonfsPortable);

const usage = `usage: npm run bench -- [options]
  --rounds N       rounds, contestants taking turns within each (3)
  --seconds S      duration of one job (3)
  --size MIB       size of everybody's file (1024)
  --jobs A,B       ${allJobs.map((job) => job.name).join(', ')}
  --peers A,B      ${everybody.map((contestant) => contestant.name).join(', ')}
  --scratch DIR    where the files are kept while it runs (a directory below ${tmpdir()})
  --output DIR     where peers.json and peers.svg are written (bench/results)
  --quiet          no progress lines
`;

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '3' },
    size: { type: 'string', default: '1024' },
    jobs: { type: 'string', default: allJobs.map((job) => job.name).join(',') },
    peers: { type: 'string', default: byDefault.map((contestant) => contestant.name).join(',') },
    scratch: { type: 'string', default: tmpdir() },
    output: { type: 'string', default: join(import.meta.dirname, 'results') },
    quiet: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

if (values.help) process.stdout.write(usage);
else await bench();

async function bench(): Promise<void> {
  const rounds = positive('rounds', values.rounds);
  const seconds = positive('seconds', values.seconds);
  const sizeMib = positive('size', values.size);
  const jobs = chosen('jobs', values.jobs, allJobs);
  const contestants = present(chosen('peers', values.peers, everybody));
  const interrupted = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => interrupted.abort(new Error(name)));

  const scratch = await mkdtemp(join(values.scratch, 'galleonfs-bench-'));
  try {
    const progress = (line: string): void => {
      if (!values.quiet) process.stderr.write(`${line}\n`);
    };
    const machine = await describeMachine(scratch);
    const rules = { contestants, jobs, rounds, seconds, sizeMib, scratch, progress, signal: interrupted.signal };
    const scores = await hold(rules);
    const results = standings(scores, raw.name);
    const names = contestants.map((contestant) => contestant.name);
    process.stdout.write(`${table(jobs, names, results)}\n`);

    const settings = { rounds, seconds, sizeMib };
    const legend = contestants.map(({ name, description }) => ({ name, description }));
    const report = {
      measuredAt: new Date().toISOString(),
      machine,
      settings,
      contestants: legend,
      medians: results,
      scores,
    };
    const subtitle =
      `Medians of ${rounds} ${rounds === 1 ? 'round' : 'rounds'} of ${seconds} s, ${sizeMib} MiB, ${machine.cores} cores, Linux ${machine.kernel}, ` +
      `${machine.scratchFilesystem}. The dotted line is the raw file; in brackets the ratio to it.`;
    const caption = {
      title: 'fio through the mount',
      subtitle,
      ours: galleonfs.name,
      base: raw.name,
      limit: fuseCeiling.name,
    };
    await mkdir(values.output, { recursive: true });
    await writeFile(join(values.output, 'peers.json'), `${JSON.stringify(report, null, 1)}\n`);
    await writeFile(join(values.output, 'peers.svg'), plot(jobs, names, results, caption));
  } catch (error) {
    if (!interrupted.signal.aborted) throw error;
    process.stderr.write('interrupted; everything is cleaned up\n');
    process.exitCode = 130;
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

function positive(option: string, value: string): number {
  const number = Number(value);
  if (!Number.isSafeInteger(number) || number < 1) fail(`--${option} must be a whole number above 0, not ${value}`);
  return number;
}

function chosen<T extends { readonly name: string }>(option: string, list: string, from: readonly T[]): T[] {
  return list
    .split(',')
    .map((name) => from.find((one) => one.name === name) ?? fail(`--${option}: there is no ${name}`));
}

function present(contestants: readonly Contestant[]): Contestant[] {
  return contestants.filter((contestant) => {
    const absent = missing(contestant.needs);
    if (absent.length > 0) process.stderr.write(`left out: ${contestant.name} (not found: ${absent.join(', ')})\n`);
    return absent.length === 0;
  });
}

function fail(message: string): never {
  process.stderr.write(`${message}\n${usage}`);
  process.exit(2);
}
