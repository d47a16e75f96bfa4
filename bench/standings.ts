/** Medians over the rounds, and how each compares with the first contestant that everybody is measured against. */
import type { Measurement } from './fio.ts';
import type { Score } from './tournament.ts';

export interface Standing extends Measurement {
  readonly job: string;
  readonly contestant: string;
  /** IOPS as a share of the base's; null when the base did not run. */
  readonly ratio: number | null;
}

export function standings(scores: readonly Score[], base: string): Standing[] {
  const medians = scores.map((score) => ({
    job: score.job,
    contestant: score.contestant,
    iops: median(score.rounds.map((round) => round.iops)),
    mibPerSecond: median(score.rounds.map((round) => round.mibPerSecond)),
    p99Us: median(score.rounds.map((round) => round.p99Us)),
  }));
  return medians.map((entry) => {
    const reference = medians.find((other) => other.job === entry.job && other.contestant === base);
    return { ...entry, ratio: reference === undefined || reference.iops === 0 ? null : entry.iops / reference.iops };
  });
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? 0;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? 0) + upper) / 2;
}
