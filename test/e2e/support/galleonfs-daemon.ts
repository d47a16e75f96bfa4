/**
 * A real daemon in its own process, on directories of its own, driven as a user does: through `bin/galleonfs`.
 *
 * Nothing here opens a file below a mount: only the programs the tests start do.
 */
import { execFile, execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

export type Driver = 'native' | 'portable';

export interface DaemonOptions {
  /** Holds the storage path, the mount point and the log; made if missing. */
  readonly directory: string;
  readonly driver?: Driver;
  readonly flags?: readonly string[];
  /** A program, and its first arguments, that runs the launcher. */
  readonly through?: readonly string[];
}

/** What a command line printed, and how it ended. */
export interface Finished {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

const launcher = resolve(import.meta.dirname, '../../../bin/galleonfs');
const START_TIMEOUT_MS = 30_000;
const STOP_TIMEOUT_MS = 60_000;

const run = promisify(execFile);

/** Daemons that this process would leave behind if it ended now. */
const living = new Set<GalleonfsDaemon>();
process.once('exit', () => {
  for (const daemon of living) daemon.abandon();
});

export class GalleonfsDaemon implements AsyncDisposable {
  readonly storagePath: string;
  readonly mountPoint: string;
  readonly logPath: string;
  readonly #options: DaemonOptions;
  /** The supervisor, which the launcher becomes; or the daemon itself when it runs alone. */
  #process: ChildProcess | undefined;
  #pid: number | undefined;
  #address = '';

  private constructor(options: DaemonOptions) {
    this.#options = options;
    this.storagePath = join(options.directory, 'store');
    this.mountPoint = join(options.directory, 'volumes');
    this.logPath = join(options.directory, 'daemon.log');
  }

  /** Starts it and waits until it answers. @throws Error with the end of its log when it does not. */
  static async start(options: DaemonOptions): Promise<GalleonfsDaemon> {
    const daemon = new GalleonfsDaemon(options);
    await mkdir(daemon.storagePath, { recursive: true });
    await mkdir(daemon.mountPoint, { recursive: true });
    await daemon.restart();
    return daemon;
  }

  /** The daemon's own process, which its supervisor may replace. */
  get pid(): number {
    if (this.#pid === undefined) throw new Error('the daemon is not running');
    return this.#pid;
  }

  /** The process that was started: it stays when the daemon is replaced. */
  get supervisorPid(): number {
    if (this.#process?.pid === undefined) throw new Error('the daemon is not running');
    return this.#process.pid;
  }

  /** The process its supervisor runs now, also while it starts. @throws Error when there is none */
  servingPid(): number {
    const found = childrenOf(this.supervisorPid)[0];
    if (found === undefined) throw new Error('the supervisor has no daemon now');
    return found;
  }

  /** The process the supervisor starts after `pid`. @throws Error when there is none in time */
  async nextServingPid(pid: number): Promise<number> {
    const deadline = Date.now() + START_TIMEOUT_MS;
    while (Date.now() < deadline) {
      const found = childrenOf(this.supervisorPid)[0];
      if (found !== undefined && found !== pid) return found;
      await sleep(5);
    }
    throw new Error(`the supervisor started no other daemon: ${this.#logTail()}`);
  }

  /** `host:port` of the HTTP listener. */
  get address(): string {
    return this.#address;
  }

  dataPath(volume: string): string {
    return join(this.mountPoint, volume, 'data');
  }

  log(): string {
    return readFileSync(this.logPath, 'utf8');
  }

  /** Starts the daemon again on what a stopped or killed one left. */
  async restart(): Promise<void> {
    this.#address = `127.0.0.1:${await freePort()}`;
    const flags = ['--storage-path', this.storagePath, '--mount-point', this.mountPoint];
    const driver = this.#options.driver === undefined ? [] : ['--fuse-driver', this.#options.driver];
    const log = openSync(this.logPath, 'a');
    const args = [...flags, '--bind-address', this.#address, ...driver, ...(this.#options.flags ?? [])];
    const [program = launcher, ...rest] = [...(this.#options.through ?? []), launcher, ...args];
    this.#process = spawn(program, rest, { stdio: ['ignore', log, log], detached: true });
    closeSync(log);
    living.add(this);
    await this.answering();
  }

  /** Runs a subcommand that must succeed and returns what it printed. */
  async galleonfs(...args: string[]): Promise<string> {
    const { exitCode, stdout, stderr } = await this.tryGalleonfs(...args);
    if (exitCode !== 0) throw new Error(`galleonfs ${args.join(' ')}: exit code ${exitCode}: ${stderr}`);
    return stdout;
  }

  async tryGalleonfs(...args: string[]): Promise<Finished> {
    try {
      const env = { ...process.env, GALLEONFS_STORAGE_PATH: this.storagePath };
      const { stdout, stderr } = await run(launcher, args, { env });
      return { exitCode: 0, stdout, stderr };
    } catch (error) {
      const { code, stdout, stderr } = error as { code?: number | string; stdout?: string; stderr?: string };
      if (typeof code !== 'number') throw error;
      return { exitCode: code, stdout: stdout ?? '', stderr: stderr ?? '' };
    }
  }

  /** Creates a volume, sees that it is mounted, and returns the path of its `data`. */
  async createVolume(name: string, size: string, ...args: string[]): Promise<string> {
    await this.galleonfs('volume', 'create', name, '--size', size, ...args);
    if (!this.isMounted(name)) await this.galleonfs('mount', name);
    return this.dataPath(name);
  }

  async showVolume(name: string): Promise<Record<string, unknown>> {
    return JSON.parse(await this.galleonfs('volume', 'show', name, '--json')) as Record<string, unknown>;
  }

  isMounted(volume: string): boolean {
    return mountPoints().includes(join(this.mountPoint, volume));
  }

  /** SIGTERM, and waits for a clean end. @throws Error when it does not end with exit code 0. */
  async stop(): Promise<void> {
    const exitCode = await this.#end('SIGTERM');
    if (exitCode !== 0) throw new Error(`the daemon ended with exit code ${exitCode}: ${this.#logTail()}`);
  }

  /** `kill -9` of daemon and supervisor: neither has a chance to do anything. Their dead mounts are taken away. */
  async kill(): Promise<void> {
    await this.killLeavingMounts();
    await this.#unmountAll();
  }

  async killLeavingMounts(): Promise<void> {
    await this.#end('SIGKILL');
  }

  /** `kill -9` of the daemon alone: its supervisor starts another. */
  killDaemon(): void {
    process.kill(this.pid, 'SIGKILL');
  }

  /** The last resort when this process ends without disposing: kills, unmounts, leaves the files. */
  abandon(): void {
    if (this.#process?.pid !== undefined) killTree(this.#process.pid);
    for (const path of this.#mounts()) execFileSync('umount', ['--lazy', path], { stdio: 'ignore' });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    living.delete(this);
    if (this.#process !== undefined) await this.#end('SIGTERM').catch(() => undefined);
    if (this.#process !== undefined) await this.#end('SIGKILL');
    await this.#unmountAll();
    await rm(this.#options.directory, { recursive: true, force: true });
  }

  async #end(signal: 'SIGTERM' | 'SIGKILL'): Promise<number | null> {
    const child = this.#process;
    if (child?.pid === undefined) throw new Error('the daemon is not running');
    const ended = child.exitCode !== null || child.signalCode !== null ? Promise.resolve() : once(child, 'exit');
    const killed = signal === 'SIGKILL' ? killTree(child.pid) : [];
    if (signal === 'SIGTERM') child.kill(signal);
    const inTime = await Promise.race([ended.then(() => true), sleep(STOP_TIMEOUT_MS, false, { ref: false })]);
    if (!inTime)
      throw new Error(`the daemon still runs ${STOP_TIMEOUT_MS / 1000} s after ${signal}: ${this.#logTail()}`);
    for (const pid of killed) while (isRunning(pid)) await sleep(10);
    this.#process = undefined;
    this.#pid = undefined;
    return child.exitCode;
  }

  /** Waits until a daemon serves; after a kill, not the one that was killed. */
  async answering(): Promise<void> {
    const before = this.#pid;
    const deadline = Date.now() + START_TIMEOUT_MS;
    for (;;) {
      const child = this.#process;
      if (child?.exitCode !== null || child.signalCode !== null) {
        this.#process = undefined;
        throw new Error(`the daemon ended while starting: ${this.#logTail()}`);
      }
      const { exitCode, stdout } = await this.tryGalleonfs('status', '--json');
      if (exitCode === 0) {
        const { phase, pid } = JSON.parse(stdout) as { phase: string; pid: number };
        this.#pid = pid;
        if (phase === 'running' && pid !== before) return;
      }
      if (Date.now() > deadline) throw new Error(`the daemon does not answer: ${this.#logTail()}`);
      await sleep(50);
    }
  }

  async #unmountAll(): Promise<void> {
    for (const path of this.#mounts()) await run('umount', ['--lazy', path]).catch(() => undefined);
  }

  #mounts(): string[] {
    // Also those that were mounted elsewhere, beside the daemon's directory; but not those of other daemons there.
    const others = [...living].filter((daemon) => daemon !== this).map(({ mountPoint }) => `${mountPoint}/`);
    const near = mountPoints('fuse.galleonfs').filter((path) =>
      path.startsWith(`${dirname(this.#options.directory)}/`),
    );
    return near.filter((path) => !others.some((other) => path.startsWith(other)));
  }

  #logTail(): string {
    return this.log().slice(-2000);
  }
}

/** Kills a process and its children; it is stopped first, so that it starts no other meanwhile. Returns the children. */
function killTree(pid: number): number[] {
  try {
    process.kill(pid, 'SIGSTOP');
    const killed = childrenOf(pid);
    for (const one of [pid, ...killed]) process.kill(one, 'SIGKILL');
    return killed;
  } catch (error) {
    // All or part of it has ended by itself.
    if (error instanceof Error && 'code' in error && (error.code === 'ESRCH' || error.code === 'ENOENT')) return [];
    throw error;
  }
}

/** A zombie, which only waits to be noticed, is none. */
function isRunning(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return !stat.slice(stat.lastIndexOf(')')).startsWith(') Z');
  } catch {
    return false;
  }
}

/** @throws Error ENOENT when the process is gone */
function childrenOf(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8');
  return children.split(' ').filter(Boolean).map(Number);
}

/** Everything mounted, or what is of one type; reading this touches no mount. */
export function mountPoints(type?: string): string[] {
  const lines = readFileSync('/proc/self/mountinfo', 'utf8').trimEnd().split('\n');
  const wanted = type === undefined ? lines : lines.filter((line) => line.includes(` - ${type} `));
  return wanted.map((line) => (line.split(' ')[4] ?? '').replace(/\\040/g, ' '));
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  if (address === null || typeof address === 'string') throw new Error('no TCP port');
  return address.port;
}
