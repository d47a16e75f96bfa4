/** Runs fio and reads what it says. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Job } from './jobs.ts';

export interface Measurement {
  readonly iops: number;
  readonly mibPerSecond: number;
  readonly p99Us: number;
}

export interface FioTarget {
  readonly file: string;
  readonly sizeMib: number;
  readonly signal: AbortSignal;
}

interface FioSide {
  iops: number;
  bw_bytes: number;
  clat_ns?: { percentile?: Record<string, number> };
}

interface FioReport {
  jobs: { read: FioSide; write: FioSide; sync?: { lat_ns?: { percentile?: Record<string, number> } }; error: number }[];
}

const run = promisify(execFile);
const P99 = '99.000000';

/** Runs one job for about `seconds`. @throws Error when fio fails or an I/O of it did. */
export async function runJob(target: FioTarget, job: Job, seconds: number): Promise<Measurement> {
  const result = await fio(target, job.name, [`--runtime=${seconds}`, '--time_based', '--norandommap', ...job.fio]);
  const { read, write, sync } = result;
  const busier = read.iops > write.iops ? read : write;
  const percentiles = job.latencyOf === 'sync' ? sync?.lat_ns?.percentile : busier.clat_ns?.percentile;
  return {
    iops: read.iops + write.iops,
    mibPerSecond: (read.bw_bytes + write.bw_bytes) / 2 ** 20,
    p99Us: (percentiles?.[P99] ?? 0) / 1000,
  };
}

/** Writes every block once, with data that does not compress, so that later reads are of something. */
export async function fill(target: FioTarget): Promise<void> {
  await fio(target, 'fill', [
    '--rw=write',
    '--bs=1M',
    '--ioengine=psync',
    '--direct=1',
    '--end_fsync=1',
    '--refill_buffers',
  ]);
}

async function fio(target: FioTarget, name: string, args: readonly string[]): Promise<FioReport['jobs'][number]> {
  const common = [`--name=${name}`, `--filename=${target.file}`, `--size=${target.sizeMib}M`, '--group_reporting'];
  const quiet = ['--randrepeat=0', '--output-format=json', '--eta=never'];
  const { stdout } = await run('fio', [...common, ...quiet, ...args], { signal: target.signal, maxBuffer: 2 ** 26 });
  const report = JSON.parse(stdout.slice(stdout.indexOf('{'))) as FioReport;
  const [job] = report.jobs;
  if (job?.error !== 0) throw new Error(`fio ${name} on ${target.file}: error ${job?.error ?? 'unknown'}`);
  return job;
}
