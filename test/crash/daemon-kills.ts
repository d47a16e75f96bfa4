/**
 * The daemon is killed over and over under load; nothing that uses its mounts may see an error.
 *
 *   node test/crash/daemon-kills.ts [--kills 100] [--in-flight auto|slots] [--workloads fio,discards,files,postgresql]
 *
 * Prints what each kill cost a program that writes and flushes. Exit code 1 when anything failed. As root.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { GalleonfsDaemon } from '../e2e/support/galleonfs-daemon.ts';
import { Scratch } from '../e2e/support/scratch.ts';
import { bash } from '../e2e/support/shell.ts';
import { workloads, type Workload, type WorkloadName } from './workloads.ts';

export interface Attack {
  readonly kills: number;
  readonly inFlight: 'auto' | 'slots';
  readonly workloads: readonly WorkloadName[];
  /** Told how far it is. */
  readonly say?: (line: string) => void;
}

/** What the probe reports; shorter operations are no pauses. */
const LONG_MS = 5;

/**
 * Returns what each kill cost a program that writes and flushes: the longest operation it met, in milliseconds, shortest first.
 * @throws Error when a workload, the probe or a daemon failed
 */
export async function killRepeatedly(attack: Attack): Promise<number[]> {
  const { kills, inFlight, say = () => undefined } = attack;
  await using scratch = await Scratch.make();
  await bash('chmod 755 "$1"', scratch.path); // PostgreSQL's user goes through it.
  const flags = ['--in-flight', inFlight];
  await using daemon = await GalleonfsDaemon.start({ directory: scratch.at('daemon'), flags });
  await using ends = new AsyncDisposableStack();
  const started: Workload[] = [];
  for (const name of attack.workloads) started.push(ends.use(await workloads[name](daemon, scratch, name)));
  const probe = ends.use(new PauseProbe(await daemon.createVolume('probe', '16MiB')));
  const running = scratch.at('running');
  await writeFile(running, '');
  ends.defer(async () => {
    await rm(running, { force: true });
  });
  const load = Promise.all(started.map(async (workload) => await workload.run(running)));
  load.catch(() => undefined); // Awaited below; the kills go on meanwhile.

  const killedAt: number[] = [];
  let pid = daemon.servingPid();
  for (let kill = 1; kill <= kills; kill += 1) {
    await sleep(50 + Math.random() * 2500);
    killedAt.push(Date.now());
    process.kill(pid, 'SIGKILL');
    pid = await daemon.nextServingPid(pid);
    if (kill % 10 === 0) say(`${kill} kills`);
  }
  await rm(running);
  await load;
  const operations = await probe.finish();
  for (const workload of started) await workload.check();
  await daemon.stop();
  return killedAt.map((at) => pauseAfter(at, operations)).sort((a, b) => a - b);
}

interface LongOperation {
  /** Milliseconds since the epoch. */
  readonly began: number;
  readonly tookMs: number;
}

/** The longest operation under way when the daemon was killed, or begun before the next could serve. */
function pauseAfter(killedAt: number, operations: readonly LongOperation[]): number {
  const met = operations.filter(({ began, tookMs }) => began <= killedAt + LONG_MS && began + tookMs >= killedAt);
  return Math.max(0, ...met.map(({ tookMs }) => tookMs));
}

/** Runs pause-probe.ts beside us: this process keeps off the mounts. */
class PauseProbe implements AsyncDisposable {
  readonly #child;
  readonly #said: Promise<string>;
  readonly #ended: Promise<unknown>;

  constructor(data: string) {
    const program = join(import.meta.dirname, 'support/pause-probe.ts');
    this.#child = spawn(process.execPath, [program, data, String(LONG_MS)], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#said = text(this.#child.stdout);
    this.#ended = once(this.#child, 'exit');
  }

  /** @throws Error when an operation failed */
  async finish(): Promise<LongOperation[]> {
    this.#child.stdin.end();
    await this.#ended;
    if (this.#child.exitCode !== 0) throw new Error(`the probe met an error (exit code ${this.#child.exitCode})`);
    return (await this.#said)
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => line.split(' ').map(Number))
      .map(([began = 0, tookMs = 0]) => ({ began, tookMs }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#ended;
  }
}

/** The value below which `share` of the sorted values lie. */
export function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN;
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      kills: { type: 'string', default: '100' },
      'in-flight': { type: 'string', default: 'auto' },
      workloads: { type: 'string', default: Object.keys(workloads).join(',') },
    },
  });
  const pauses = await killRepeatedly({
    kills: Number(values.kills),
    inFlight: values['in-flight'] === 'slots' ? 'slots' : 'auto',
    workloads: values.workloads.split(',') as WorkloadName[],
    say: (line) => process.stdout.write(`${line}\n`),
  });
  const [median, high, most] = [0.5, 0.95, 1].map((share) => quantile(pauses, share).toFixed(0));
  process.stdout.write(
    `${values.kills} kills, no error. Pauses: median ${median} ms, 95% ${high} ms, longest ${most} ms\n`,
  );
}
