/**
 * Every contestant runs every job in every round, taking turns, so that a slow minute of the machine hits all of them.
 * All are set up before the first round: they also share the disk and the page cache.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { command, type Contestant } from './contestant.ts';
import { fill, runJob, type FioTarget, type Measurement } from './fio.ts';
import type { Job } from './jobs.ts';

export interface Rules {
  readonly contestants: readonly Contestant[];
  readonly jobs: readonly Job[];
  readonly rounds: number;
  readonly seconds: number;
  readonly sizeMib: number;
  /** An existing directory for everybody's files. */
  readonly scratch: string;
  readonly signal: AbortSignal;
  readonly progress: (line: string) => void;
}

/** Of one contestant in one job: one measurement a round. */
export interface Score {
  readonly job: string;
  readonly contestant: string;
  readonly rounds: readonly Measurement[];
}

export async function hold(rules: Rules): Promise<Score[]> {
  await using cleanup = new AsyncDisposableStack();
  const targets = new Map<Contestant, FioTarget>();
  for (const contestant of rules.contestants) {
    rules.signal.throwIfAborted();
    rules.progress(`setting up ${contestant.name}`);
    targets.set(contestant, await prepare(contestant, rules, cleanup));
  }
  await command('sync'); // else the first jobs pay for the last contestant's filling
  const measured = new Map<string, Measurement[]>();
  for (let round = 1; round <= rules.rounds; round += 1) {
    for (const job of rules.jobs) {
      for (const [contestant, target] of targets) {
        const result = await runJob(target, job, rules.seconds);
        const key = keyOf(job, contestant);
        measured.set(key, [...(measured.get(key) ?? []), result]);
        rules.progress(`round ${round} ${job.name} ${contestant.name}: ${result.iops.toFixed(0)} IOPS`);
      }
    }
  }
  return rules.jobs.flatMap((job) =>
    rules.contestants.map((contestant) => ({
      job: job.name,
      contestant: contestant.name,
      rounds: measured.get(keyOf(job, contestant)) ?? [],
    })),
  );
}

async function prepare(contestant: Contestant, rules: Rules, cleanup: AsyncDisposableStack): Promise<FioTarget> {
  const directory = join(rules.scratch, contestant.name);
  await mkdir(directory);
  const file = await contestant.open({ directory, sizeMib: rules.sizeMib, cleanup });
  const target = { file, sizeMib: rules.sizeMib, signal: rules.signal };
  await fill(target);
  return target;
}

function keyOf(job: Job, contestant: Contestant): string {
  return `${job.name} ${contestant.name}`;
}
