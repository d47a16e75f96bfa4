import { accessSync, constants } from 'node:fs';
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { LAUNCHER_VARIABLE, type Configuration } from '../config/index.ts';
import { GalleonError } from '../errors/index.ts';

/** How the supervisor names its notification sockets. */
const OWN_SOCKETS = '@galleonfs-supervisor/';
/** As WatchdogSec= in systemd/galleonfs.service: a daemon that hangs holds its mounts up no longer. */
const WATCHDOG_MS = 30_000;
/** A daemon that cannot start lives at least so long where it is started again at once and without end. */
const LIFE_MS_MIN = 1000;

type Environment = Readonly<Record<string, string | undefined>>;

/** Whether the daemon should first become its own supervisor: nobody holds descriptors for it yet, and it is wanted. */
export function wantsSupervisor(configuration: Configuration, environment: Environment): boolean {
  return !configuration.noSupervisor && (environment['NOTIFY_SOCKET'] ?? '') === '';
}

/**
 * Replaces this process by the supervisor, which starts the same command line again below it: the process id stays.
 * @throws GalleonError SUPERVISOR_UNAVAILABLE
 */
export function becomeSupervisor(configuration: Configuration): void {
  const supervisor = resolve(import.meta.dirname, '../../build/Release/galleonfs-supervisor');
  try {
    accessSync(supervisor, constants.X_OK);
  } catch (error) {
    const message = `the supervisor ${supervisor} cannot be run: build it with "npm run build:native", or start with --no-supervisor (a crash of the daemon then ends its mounts)`;
    throw new GalleonError('SUPERVISOR_UNAVAILABLE', message, { cause: error });
  }
  const options = ['--log-level', configuration.logLevel, '--watchdog-ms', String(WATCHDOG_MS)];
  const command = [...ownCommand(process.env), ...process.argv.slice(2)];
  process.execve?.(supervisor, [supervisor, ...options, '--', ...command], process.env);
}

/** Runs `start`; where systemd starts the daemon, a failure takes its time: systemd itself does not wait between starts. */
export async function unhurried(start: () => Promise<void>): Promise<void> {
  try {
    await start();
  } catch (error) {
    const socket = process.env['NOTIFY_SOCKET'] ?? '';
    if (socket !== '' && !socket.startsWith(OWN_SOCKETS)) await sleep(LIFE_MS_MIN - process.uptime() * 1000);
    throw error;
  }
}

/** The launcher, if there was one: starting it anew finds what is installed then. */
function ownCommand(environment: Environment): string[] {
  const launcher = environment[LAUNCHER_VARIABLE] ?? '';
  return launcher === '' ? [process.execPath, ...process.execArgv, process.argv[1] ?? ''] : [launcher];
}
