/** Somebody who can offer one block file to fio, and the helpers they are built from. */
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, closeSync, constants, openSync, readFileSync } from 'node:fs';
import { mkdir, stat } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

export interface Site {
  /** A directory of the contestant's own, empty. */
  readonly directory: string;
  readonly sizeMib: number;
  /** What is deferred here runs in reverse order when the contest ends, however it ends. */
  readonly cleanup: AsyncDisposableStack;
}

export interface Contestant {
  readonly name: string;
  /** What it is, in a few words, for the report. */
  readonly description: string;
  /** Programs that must be in PATH, or files that must exist. */
  readonly needs: readonly string[];
  /** Makes the file and returns its path; it has the size asked for. */
  open(site: Site): Promise<string>;
}

const run = promisify(execFile);

export async function command(program: string, ...args: string[]): Promise<string> {
  return (await run(program, args)).stdout;
}

/** Which of these programs and absolute paths are not there. */
export function missing(needs: readonly string[]): string[] {
  const directories = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  const candidates = (need: string): string[] =>
    need.startsWith('/') ? [need] : directories.map((at) => join(at, need));
  return needs.filter((need) => !candidates(need).some(isAccessible));
}

function isAccessible(path: string): boolean {
  try {
    accessSync(path, constants.F_OK);
    return true;
  } catch {
    return false;
  }
}

/** Starts a server that lives until the contest ends: SIGTERM then, SIGKILL five seconds later. */
export function serve(site: Site, program: string, ...args: string[]): ChildProcess {
  const log = openSync(join(site.directory, 'log'), 'a');
  // A process group of its own: Ctrl-C reaches only us, and we stop the servers in order.
  const child = spawn(program, args, { stdio: ['ignore', log, log], detached: true });
  closeSync(log);
  child.on('error', () => undefined); // waitForSize reports that nothing appeared
  site.cleanup.defer(() => stop(child));
  return child;
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  const inTime = await Promise.race([ended.then(() => true), sleep(5000, false, { ref: false })]);
  if (inTime) return;
  child.kill('SIGKILL');
  await ended;
}

/** A directory to mount on, unmounted when the contest ends. */
export async function mountPoint(site: Site, name = 'mnt'): Promise<string> {
  const path = join(site.directory, name);
  await mkdir(path);
  unmountLater(site, path);
  return path;
}

export function unmountLater(site: Site, path: string): void {
  site.cleanup.defer(async () => {
    await command('umount', '--lazy', path).catch(() => undefined); // a server that stopped has unmounted already
  });
}

export async function sparseFile(path: string, sizeMib: number): Promise<string> {
  await command('truncate', `--size=${sizeMib}M`, path);
  return path;
}

/** Waits until a server shows its file with the full size. */
export async function waitForSize(site: Site, path: string): Promise<string> {
  const deadline = Date.now() + 20_000;
  while (Date.now() < deadline) {
    const size = await stat(path).then(
      (found) => found.size,
      () => 0,
    );
    if (size >= site.sizeMib * 2 ** 20) return path;
    await sleep(50);
  }
  const log = readFileSync(join(site.directory, 'log'), 'utf8').slice(-500);
  throw new Error(`${path} did not appear within 20 s: ${log}`);
}
