/**
 * `node bench/idle-cost.ts`: what the daemon costs when nobody uses it, with eight mounted volumes, and how much memory it
 * takes when one of them has 64 TiB and is written all over.
 */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { GalleonfsDaemon } from '../test/e2e/support/galleonfs-daemon.ts';
import { cpuShare, residentMib } from './resources.ts';

export interface IdleCost {
  /** Share of one core, over ten seconds. */
  readonly cpuShare: number;
  readonly residentMib: number;
  /** After `SCATTERED_WRITES` 4 KiB writes all over a volume of 64 TiB. */
  readonly residentAfterScatteredWritesMib: number;
}

const VOLUMES = 8;
const SETTLE_SECONDS = 5; // a store checkpoints when it has been idle for a while
const SCATTERED_WRITES = 200_000;

const run = promisify(execFile);

export async function measureIdleCost(): Promise<IdleCost> {
  await using cleanup = new AsyncDisposableStack();
  const directory = await mkdtemp(join(tmpdir(), 'galleonfs-idle-'));
  cleanup.defer(() => rm(directory, { recursive: true, force: true }));
  const daemon = cleanup.use(await GalleonfsDaemon.start({ directory: join(directory, 'daemon') }));
  for (let i = 1; i < VOLUMES; i += 1) await daemon.createVolume(`idle-${i}`, '1GiB');
  const huge = await daemon.createVolume('huge', '64TiB');

  await cpuShare(daemon.pid, SETTLE_SECONDS);
  const idle = await cpuShare(daemon.pid, 10);
  const resident = residentMib(daemon.pid);
  const scattered = ['--rw=randwrite', '--bs=4k', '--size=64T', `--number_ios=${SCATTERED_WRITES}`, '--norandommap'];
  const fio = [
    '--name=scattered',
    `--filename=${huge}`,
    '--ioengine=libaio',
    '--iodepth=16',
    '--direct=1',
    '--randrepeat=0',
  ];
  await run('fio', [...fio, ...scattered, '--random_generator=tausworthe64'], { cwd: directory });
  return { cpuShare: idle, residentMib: resident, residentAfterScatteredWritesMib: residentMib(daemon.pid) };
}

if (import.meta.main) {
  const cost = await measureIdleCost();
  process.stdout.write(`${VOLUMES} mounted idle volumes: ${(cost.cpuShare * 100).toFixed(2)}% of a core, `);
  process.stdout.write(`${cost.residentMib.toFixed(0)} MiB resident; `);
  process.stdout.write(
    `${cost.residentAfterScatteredWritesMib.toFixed(0)} MiB after ${SCATTERED_WRITES} writes all over 64 TiB\n`,
  );
}
