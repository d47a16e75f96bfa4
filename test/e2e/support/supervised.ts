/** The real supervisor with a scripted program below it. */
import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Readable } from 'node:stream';
import { eventually } from './eventually.ts';

/** GALLEONFS_TEST_SUPERVISOR: another build of it, such as one with a sanitizer. */
export const SUPERVISOR =
  process.env['GALLEONFS_TEST_SUPERVISOR'] ??
  resolve(import.meta.dirname, '../../../build/Release/galleonfs-supervisor');
const PROGRAM = join(import.meta.dirname, 'supervised-program.py');

export interface LogLine {
  readonly level: string;
  readonly msg: string;
  readonly [field: string]: unknown;
}

export interface End {
  readonly exitCode: number | null;
  readonly signal: string | null;
}

export class Supervised implements AsyncDisposable {
  readonly #process: ChildProcessByStdio<null, Readable, Readable>;
  readonly #end: Promise<End>;
  readonly #directory: string;
  stdout = '';
  stderr = '';

  /** `phases`: the steps of supervised-program.py for each start of it; the last ones are repeated. */
  constructor(phases: readonly string[], options: readonly string[] = []) {
    this.#directory = mkdtempSync(join(tmpdir(), 'galleonfs-supervised-'));
    const words = phases.join(' / ').split(' ');
    const command = ['python3', PROGRAM, this.#directory, ...words];
    this.#process = spawn(SUPERVISOR, ['--log-level', 'debug', ...options, '--', ...command], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#process.stdout.on('data', (chunk: Buffer) => (this.stdout += chunk.toString('latin1')));
    this.#process.stderr.on('data', (chunk: Buffer) => (this.stderr += chunk.toString('latin1')));
    this.#end = once(this.#process, 'close').then(([exitCode, signal]) => ({
      exitCode: exitCode as number | null,
      signal: signal as string | null,
    }));
  }

  get pid(): number {
    if (this.#process.pid === undefined) throw new Error('the supervisor was not started');
    return this.#process.pid;
  }

  signal(name: NodeJS.Signals): void {
    this.#process.kill(name);
  }

  async ended(): Promise<End> {
    return await this.#end;
  }

  /** Waits until the program has written the line. */
  async said(line: string, times = 1): Promise<void> {
    await eventually(() => this.lines().filter((one) => one === line).length >= times);
  }

  /** What the program has written to stdout. */
  lines(): string[] {
    return this.stdout.split('\n').filter((line) => line !== '');
  }

  /** What the supervisor has logged; whatever else came on stderr is not JSON and fails here. */
  log(): LogLine[] {
    const lines = this.stderr.split('\n').filter((line) => line !== '');
    return lines.map((line) => JSON.parse(line) as LogLine);
  }

  /** The log lines from `level` on whose text matches. */
  logged(level: string, text: RegExp): LogLine[] {
    return this.log().filter((line) => line.level === level && text.test(line.msg));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // A stop ends the program as well; SIGKILL would leave it running.
    if (this.#process.exitCode === null && this.#process.signalCode === null) {
      const child = this.logged('debug', /has been started/).at(-1)?.['pid'];
      const again = this.logged('info', /has been started again/).at(-1)?.['pid'];
      this.#process.kill('SIGKILL');
      kill(again ?? child);
      await this.#end;
    }
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

function kill(pid: unknown): void {
  if (typeof pid !== 'number') return;
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}
