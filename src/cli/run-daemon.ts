import type { Listeners } from '../api/index.ts';
import { unknownVariables, type Configuration } from '../config/index.ts';
import { openDaemon, runDemo, VERSION, type Daemon, type Ending } from '../daemon/index.ts';
import { GalleonError } from '../errors/index.ts';
import type { Log } from '../lib/index.ts';
import { createLogger } from '../monitoring/index.ts';
import { becomeSupervisor, wantsSupervisor } from './supervise.ts';

/**
 * Runs the daemon in the foreground until SIGTERM, SIGINT, SIGHUP or `galleonfs stop`, or, for a restart under its mounts,
 * SIGUSR2 or `galleonfs upgrade`; resolves after a clean end. Without a supervisor yet (ours, or systemd) it becomes one,
 * which runs the daemon below it: then this does not return.
 * @throws GalleonError what kept it from starting, or from ending cleanly
 */
export async function runDaemon(configuration: Configuration): Promise<Ending> {
  if (wantsSupervisor(configuration, process.env)) becomeSupervisor(configuration);
  const log = createLogger({ level: configuration.logLevel, readable: process.stderr.isTTY });
  for (const variable of unknownVariables(process.env)) {
    log.warn({ variable }, `the environment variable ${variable} means nothing to GalleonFS: is it misspelt?`);
  }
  const daemon = await openDaemon(configuration, log);
  const { storagePath, mountPoint } = configuration;
  log.info({ version: VERSION, pid: process.pid, storagePath, mountPoint }, `GalleonFS ${VERSION} is starting`);
  endOnSignals(daemon, log);
  let listeners: Listeners | undefined;
  let ending: Ending = 'stop';
  const closeListeners = async (): Promise<void> => await listeners?.close();
  try {
    if (!daemon.resumes) listeners = await listen(daemon, log);
    await daemon.start(async () => {
      listeners ??= await listen(daemon, log);
    });
    log.info({ volumes: daemon.listVolumes().length }, 'GalleonFS is ready');
    if (configuration.demoMode) await demo(daemon);
    ending = await daemon.endAsked;
  } finally {
    if (ending === 'restart') {
      log.info({}, 'GalleonFS hands its mounts over: checkpointing, finishing I/O');
      await daemon.handOver(closeListeners);
    } else {
      log.info({}, 'GalleonFS is stopping: finishing I/O, unmounting, checkpointing');
      await daemon.stop(closeListeners);
    }
  }
  log.info({}, 'GalleonFS has stopped');
  return ending;
}

/** Loaded when it is needed: it is the largest part, and programs that wait on mounts do not need it. */
async function listen(daemon: Daemon, log: Log): Promise<Listeners> {
  const api = await import('../api/index.ts');
  return await api.listen(daemon, log);
}

/** The first signal ends in good order; a second one does not wait for open files any longer. */
function endOnSignals(daemon: Daemon, log: Log): void {
  let asked = false;
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
    process.on(signal, () => {
      if (asked) {
        log.warn({ signal }, 'stopping already: what is still in use is unmounted lazily now');
        daemon.hurry();
      }
      asked = true;
      daemon.askToStop();
    });
  }
  process.on('SIGUSR2', () => {
    try {
      daemon.askToRestart();
    } catch (error) {
      log.error({ error }, 'asked to restart by SIGUSR2, which cannot be: going on');
    }
  });
}

async function demo(daemon: Daemon): Promise<void> {
  const say = (line: string): void => void process.stdout.write(`${line}\n`);
  const shown = runDemo(daemon, say).catch((error: unknown) => {
    // A stop in the middle of the demo is not the demo's failure.
    if (error instanceof GalleonError && error.code === 'DAEMON_STOPPING') return;
    throw error;
  });
  await Promise.race([shown, daemon.endAsked]);
}
