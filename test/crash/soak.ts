/**
 * Everything at once: eight volumes under mixed load, scrubs, and the daemon killed every ten seconds; then an account of
 * what is left: descriptors, memory, and disk space to the block.
 *
 *   node test/crash/soak.ts [--minutes 10] [--in-flight auto|slots]
 *
 * Exit code 1 when a workload met an error, something leaked, or `galleonfs check` finds that not all adds up. As root.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { GalleonfsDaemon } from '../e2e/support/galleonfs-daemon.ts';
import { Scratch } from '../e2e/support/scratch.ts';
import { bash } from '../e2e/support/shell.ts';
import { workloads, type Workload, type WorkloadName } from './workloads.ts';

const LOADS: readonly WorkloadName[] = ['fio', 'fio', 'fio', 'discards', 'discards', 'files', 'files', 'postgresql'];
const KILL_EVERY_MS = 10_000;

/** What a process holds. */
interface Holdings {
  readonly descriptors: number;
  readonly residentMib: number;
}

export interface SoakReport {
  readonly kills: number;
  readonly before: { readonly daemon: Holdings; readonly supervisor: Holdings };
  readonly after: { readonly daemon: Holdings; readonly supervisor: Holdings };
  /** What `galleonfs check --all` said at the end. */
  readonly check: string;
}

/** @throws Error when a workload or the final check failed */
export async function soak(
  minutes: number,
  inFlight: string,
  say: (line: string) => void = () => undefined,
): Promise<SoakReport> {
  await using scratch = await Scratch.make();
  await bash('chmod 755 "$1"', scratch.path);
  const flags = ['--in-flight', inFlight];
  await using daemon = await GalleonfsDaemon.start({ directory: scratch.at('daemon'), flags });
  await using ends = new AsyncDisposableStack();
  const started: Workload[] = [];
  for (const [index, name] of LOADS.entries()) {
    started.push(ends.use(await workloads[name](daemon, scratch, `${name}-${index}`)));
  }
  const running = scratch.at('running');
  await writeFile(running, '');
  ends.defer(async () => {
    await rm(running, { force: true });
  });
  const load = Promise.all(started.map(async (workload) => await workload.run(running)));
  load.catch(() => undefined); // Awaited below.
  const lost = load.then(
    () => true,
    () => true,
  );

  await sleep(KILL_EVERY_MS / 2);
  const before = holdings(daemon);
  const deadline = performance.now() + minutes * 60_000;
  let kills = 0;
  while (performance.now() < deadline) {
    await daemon.tryGalleonfs('scrub', '--all');
    if (await Promise.race([lost, sleep(KILL_EVERY_MS, false)])) break;
    const pid = daemon.servingPid();
    process.kill(pid, 'SIGKILL');
    await daemon.nextServingPid(pid);
    kills += 1;
    if (kills % 6 === 0) say(`${kills} kills; ${JSON.stringify(holdings(daemon))}`);
  }
  await rm(running);
  await load;
  await daemon.galleonfs('status'); // Answers when every mount is served again.
  const after = holdings(daemon);
  for (const workload of started) await workload.check();
  await ends.disposeAsync();
  await daemon.galleonfs('scrub', '--all', '--wait');
  await daemon.stop();
  const check = await daemon.galleonfs('check', '--all', '--storage-path', daemon.storagePath);
  return { kills, before, after, check };
}

function holdings(daemon: GalleonfsDaemon): SoakReport['before'] {
  return { daemon: holdingsOf(daemon.servingPid()), supervisor: holdingsOf(daemon.supervisorPid) };
}

function holdingsOf(pid: number): Holdings {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const kib = Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? 0);
  return { descriptors: readdirSync(`/proc/${pid}/fd`).length, residentMib: Math.round(kib / 1024) };
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: { minutes: { type: 'string', default: '10' }, 'in-flight': { type: 'string', default: 'auto' } },
  });
  const say = (line: string): void => void process.stdout.write(`${line}\n`);
  const report = await soak(Number(values.minutes), values['in-flight'], say);
  say(JSON.stringify({ ...report, check: undefined }, undefined, 2));
  say(report.check);
  say(`${report.kills} kills under ${LOADS.length} loads for ${values.minutes} minutes: no error, and all adds up`);
}
