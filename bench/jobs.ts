/** The workloads, one line each. Every contestant runs every one in every round. */
export interface Job {
  readonly name: string;
  readonly title: string;
  /** Arguments for fio, beside the file, its size and the duration. */
  readonly fio: readonly string[];
  /** What the bars count. */
  readonly unit: 'IOPS' | 'MiB/s';
  /** Which latency a user of this job waits for. */
  readonly latencyOf: 'transfer' | 'sync';
}

const queued = (depth: number): string[] => ['--ioengine=libaio', `--iodepth=${depth}`, '--direct=1'];
const oneAtATime = ['--ioengine=psync', '--direct=1'];
const synced = (writers: number): string[] => [
  ...oneAtATime,
  '--rw=randwrite',
  '--bs=4k',
  '--fdatasync=1',
  `--numjobs=${writers}`,
];

export const jobs: readonly Job[] = [
  transfer('seq-write-1m', '1 MiB sequential write, depth 4', 'MiB/s', ['--rw=write', '--bs=1M', ...queued(4)]),
  transfer('seq-read-1m', '1 MiB sequential read, depth 4', 'MiB/s', ['--rw=read', '--bs=1M', ...queued(4)]),
  transfer('rand-read-4k-d1', '4 KiB random read, depth 1', 'IOPS', ['--rw=randread', '--bs=4k', ...oneAtATime]),
  transfer('rand-read-4k-d16', '4 KiB random read, depth 16', 'IOPS', ['--rw=randread', '--bs=4k', ...queued(16)]),
  transfer('rand-write-4k-d1', '4 KiB random write, depth 1', 'IOPS', ['--rw=randwrite', '--bs=4k', ...oneAtATime]),
  transfer('rand-write-4k-d16', '4 KiB random write, depth 16', 'IOPS', ['--rw=randwrite', '--bs=4k', ...queued(16)]),
  sync('fdatasync-4k-w1', '4 KiB write + fdatasync, 1 writer', synced(1)),
  sync('fdatasync-4k-w4', '4 KiB write + fdatasync, 4 writers', synced(4)),
  sync('fdatasync-4k-w16', '4 KiB write + fdatasync, 16 writers', synced(16)),
  transfer('mixed-16k-d8', '16 KiB 70/30 random read/write, depth 8', 'IOPS', [
    ...['--rw=randrw', '--rwmixread=70', '--bs=16k'],
    ...queued(8),
  ]),
  transfer('buffered-write-1m', '1 MiB buffered write, final fsync', 'MiB/s', [
    ...['--rw=write', '--bs=1M', '--ioengine=psync', '--direct=0', '--end_fsync=1'],
  ]),
];

function transfer(name: string, title: string, unit: Job['unit'], fio: readonly string[]): Job {
  return { name, title, fio, unit, latencyOf: 'transfer' };
}

function sync(name: string, title: string, fio: readonly string[]): Job {
  return { name, title, fio, unit: 'IOPS', latencyOf: 'sync' };
}
