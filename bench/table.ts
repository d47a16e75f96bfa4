import type { Job } from './jobs.ts';
import type { Standing } from './standings.ts';

/** A line a job, a column a contestant: how much, the ratio to the base, and the p99 latency. */
export function table(jobs: readonly Job[], contestants: readonly string[], results: readonly Standing[]): string {
  const header = ['', ...contestants];
  const rows = jobs.map((job) => [
    `${job.name} (${job.unit})`,
    ...contestants.map((name) => {
      const found = results.find((entry) => entry.job === job.name && entry.contestant === name);
      return found === undefined ? '-' : cell(found, job);
    }),
  ]);
  const widths = header.map((_, column) => Math.max(...[header, ...rows].map((row) => (row[column] ?? '').length)));
  const line = (row: readonly string[]): string =>
    row
      .map((text, column) => (column === 0 ? text.padEnd(widths[0] ?? 0) : text.padStart(widths[column] ?? 0)))
      .join('  ');
  return [header, ...rows].map(line).join('\n');
}

export function amount(standing: Standing, unit: Job['unit']): string {
  const value = unit === 'IOPS' ? standing.iops : standing.mibPerSecond;
  return value >= 10_000 ? `${(value / 1000).toFixed(1)}k` : value.toFixed(0);
}

function cell(standing: Standing, job: Job): string {
  const ratio = standing.ratio === null ? '' : `${standing.ratio.toFixed(2)}x`.padStart(8);
  const p99 = `${standing.p99Us.toFixed(0)}us`.padStart(9);
  return `${amount(standing, job.unit).padStart(7)}${ratio}${p99}`;
}
