/** Runs what a user would type, in processes that may touch the mounts. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import type { Finished } from './galleonfs-daemon.ts';

/** Positional parameters of the script: `"$1"`, `"$2"` ... */
type Parameters = readonly (string | number)[];

/** Runs a bash script with `set -euo pipefail`. @throws Error with what it said when it fails. */
export async function bash(script: string, ...parameters: Parameters): Promise<string> {
  const { exitCode, stdout, stderr } = await tryBash(script, ...parameters);
  if (exitCode !== 0)
    throw new Error(`exit code ${exitCode} from: ${script.trim()}\n${stdout.slice(-2000)}${stderr.slice(-2000)}`);
  return stdout;
}

export async function tryBash(script: string, ...parameters: Parameters): Promise<Finished> {
  return finished('bash', ['-c', `set -euo pipefail\n${script}`, 'bash', ...parameters.map(String)]);
}

/** Runs Python statements; `argv[1]` is the first parameter. @throws Error with the traceback when they fail. */
export async function python(program: string, ...parameters: Parameters): Promise<string> {
  const args = ['-c', `import errno, mmap, os\nfrom sys import argv\n${program}`, ...parameters.map(String)];
  const { exitCode, stdout, stderr } = await finished('python3', args);
  if (exitCode !== 0) throw new Error(`python3: ${stderr.slice(-2000)}`);
  return stdout;
}

async function finished(program: string, args: readonly string[]): Promise<Finished> {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, LC_ALL: 'C' } });
  const [stdout, stderr, [exitCode, signal]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close') as Promise<[number | null, string | null]>,
  ]);
  return { exitCode: exitCode ?? 128, stdout, stderr: signal === null ? stderr : `${stderr}ended by ${signal}` };
}
