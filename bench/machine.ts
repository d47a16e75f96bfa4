/** Where figures were measured: without it they mean little. */
import { cpus, release, totalmem } from 'node:os';
import { command } from './contestant.ts';

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGib: number;
  readonly kernel: string;
  readonly node: string;
  readonly fio: string;
  readonly scratchFilesystem: string;
  readonly commit: string;
}

export async function describeMachine(scratch: string): Promise<Machine> {
  const orUnknown = (asked: Promise<string>): Promise<string> =>
    asked.then(
      (said) => said.trim(),
      () => 'unknown',
    );
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memoryGib: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    node: process.version,
    fio: await orUnknown(command('fio', '--version')),
    scratchFilesystem: await orUnknown(command('findmnt', '--noheadings', '--output', 'FSTYPE', '--target', scratch)),
    commit: await orUnknown(command('git', '-C', import.meta.dirname, 'describe', '--always', '--dirty')),
  };
}
