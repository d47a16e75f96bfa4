import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { InvalidArgumentError, type Command } from 'commander';
import type { StorageClass } from '../catalog/index.ts';
import type { DaemonStatus } from '../daemon/index.ts';
import type { InFlightSurvival } from '../mount/index.ts';
import { GalleonError } from '../errors/index.ts';
import { formatByteSize, formatDuration } from '../lib/index.ts';
import { Context } from './context.ts';
import { describeVolumes } from './describe-volume.ts';
import { textFields, textTable } from './text-table.ts';

const POLL_MS = 50;

/** `galleonfs status`, `galleonfs stop`, `galleonfs upgrade` and `galleonfs class list`. */
export function addDaemonCommands(program: Command): void {
  program
    .command('status')
    .description('show how the daemon and its volumes are')
    .action(async (_options: unknown, command: Command) => {
      const context = Context.of(command);
      const status = await context.withDaemon(async (client) => await client.get<DaemonStatus>('/status'));
      context.print(status, () => describeStatus(status));
    });

  program
    .command('stop')
    .description('finish I/O, unmount everything and end the daemon')
    .option('-t, --timeout <seconds>', 'how long to wait for its end', secondsArgument, 60)
    .action(async ({ timeout }: { readonly timeout: number }, command: Command) => {
      const context = Context.of(command);
      const { pid } = await context.withDaemon(async (client) => await client.post<{ pid: number }>('/stop'));
      await ended(pid, timeout * 1000);
      context.print({ stopped: true, pid }, () => 'The daemon has stopped.');
    });

  program
    .command('upgrade')
    .description('restart the daemon as the version that is installed now; I/O on mounts waits, nothing fails')
    .option('-t, --timeout <seconds>', 'how long to wait for the new daemon', secondsArgument, 60)
    .action(async ({ timeout }: { readonly timeout: number }, command: Command) => {
      const context = Context.of(command);
      const before = await context.withDaemon(async (client) => await client.get<DaemonStatus>('/status'));
      await context.withDaemon(async (client) => await client.post<{ pid: number }>('/restart'));
      const after = await replaced(context, before.pid, timeout * 1000);
      context.print({ pid: after.pid, version: after.version, versionBefore: before.version }, () =>
        before.version === after.version
          ? `The daemon was restarted: still version ${after.version}, now process ${after.pid}.`
          : `The daemon was upgraded from ${before.version} to ${after.version}, now process ${after.pid}.`,
      );
    });

  program
    .command('class')
    .description('look at storage classes')
    .command('list')
    .alias('ls')
    .description('show all storage classes')
    .action(async (_options: unknown, command: Command) => {
      const context = Context.of(command);
      const classes = await context.withDaemon(async (client) => await client.get<StorageClass[]>('/classes'));
      context.print(classes, () => describeClasses(classes));
    });
}

function describeStatus(status: DaemonStatus): string {
  const fields = textFields([
    ['Daemon', `${status.phase}, version ${status.version}, process ${status.pid}`],
    ['Up', formatDuration(status.uptimeMs)],
    ['Storage path', status.storagePath],
    ['Mount point', status.mountPoint],
    ['Health', status.bindAddress === null ? '-' : `http://${status.bindAddress}/healthz`],
    ['FUSE driver', status.fuseDriver],
    ['If it dies', describeSurvival(status)],
    ['Memory', formatByteSize(status.memoryBytes)],
  ]);
  return `${fields}\n\n${describeVolumes(status.volumes)}`;
}

function describeClasses(classes: readonly StorageClass[]): string {
  const rows = classes.map(({ name, provisioner, reclaimPolicy, volumeBindingMode, isDefault }) => [
    isDefault ? `${name} (default)` : name,
    provisioner,
    reclaimPolicy,
    volumeBindingMode,
  ]);
  return textTable(['NAME', 'PROVISIONER', 'RECLAIM', 'BINDING'], rows);
}

const KEEPERS: Readonly<Record<DaemonStatus['descriptorStore'], string>> = {
  systemd: 'systemd keeps the mounts',
  supervisor: 'its supervisor keeps the mounts',
  none: 'its mounts fail: nobody keeps them',
};

const IN_FLIGHT: Readonly<Record<InFlightSurvival, string>> = {
  resend: 'the kernel resends what is in flight',
  slots: 'what is in flight is kept in request slots',
  none: 'what is in flight fails',
};

function describeSurvival({ descriptorStore, volumes }: DaemonStatus): string {
  const ways = new Set(volumes.flatMap(({ mount }) => (mount === null ? [] : [mount.inFlightSurvival])));
  const said = descriptorStore === 'none' ? [] : [...ways].map((way) => IN_FLIGHT[way]);
  return [KEEPERS[descriptorStore], ...said].join('; ');
}

/** Waits until another process answers. @throws GalleonError OPERATION_TIMED_OUT */
async function replaced(context: Context, pidBefore: number, timeoutMs: number): Promise<DaemonStatus> {
  const deadlineMs = performance.now() + timeoutMs;
  for (;;) {
    try {
      const status = await context.withDaemon(async (client) => await client.get<DaemonStatus>('/status'));
      if (status.pid !== pidBefore) return status;
    } catch (error) {
      if (!(error instanceof GalleonError) || error.kind !== 'unavailable') throw error;
    }
    if (performance.now() > deadlineMs) {
      throw new GalleonError('OPERATION_TIMED_OUT', `no new daemon answers after ${timeoutMs / 1000} s: see its log`);
    }
    await sleep(POLL_MS);
  }
}

/** Waits for the end of the process. @throws GalleonError OPERATION_TIMED_OUT */
async function ended(pid: number, timeoutMs: number): Promise<void> {
  const deadlineMs = performance.now() + timeoutMs;
  while (await isRunning(pid)) {
    if (performance.now() > deadlineMs) {
      throw new GalleonError(
        'OPERATION_TIMED_OUT',
        `the daemon (process ${pid}) is still stopping after ${timeoutMs / 1000} s`,
      );
    }
    await sleep(POLL_MS);
  }
}

/** A zombie, which only waits for its parent to notice, has ended. */
async function isRunning(pid: number): Promise<boolean> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
    return !stat.slice(stat.lastIndexOf(')')).startsWith(') Z');
  } catch {
    return false;
  }
}

function secondsArgument(text: string): number {
  const seconds = Number(text);
  if (!(seconds > 0)) throw new InvalidArgumentError('give a number of seconds above 0');
  return seconds;
}
