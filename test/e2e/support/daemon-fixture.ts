import { after, before } from 'node:test';
import { GalleonfsDaemon, type DaemonOptions } from './galleonfs-daemon.ts';
import { Scratch } from './scratch.ts';

/** A daemon that all tests of a suite share, each on volumes of its own. */
export interface DaemonFixture {
  readonly daemon: GalleonfsDaemon;
  readonly scratch: Scratch;
  /** Makes and mounts a volume with a name of its own; the path of its `data`. */
  volume(size: string, ...args: string[]): Promise<string>;
}

// A test that is stopped half-way must still reach the exit handler that ends its daemons.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));

/** Call inside describe(). */
export function useDaemon(options: Omit<DaemonOptions, 'directory'> = {}): DaemonFixture {
  const cleanup = new AsyncDisposableStack();
  let started: { daemon: GalleonfsDaemon; scratch: Scratch } | undefined;
  let volumes = 0;
  before(async () => {
    const scratch = cleanup.use(await Scratch.make());
    const daemon = cleanup.use(await GalleonfsDaemon.start({ ...options, directory: scratch.at('daemon') }));
    started = { daemon, scratch };
  });
  after(() => cleanup.disposeAsync());

  const get = (): { daemon: GalleonfsDaemon; scratch: Scratch } => {
    if (started === undefined) throw new Error('the daemon is started before the first test of its suite');
    return started;
  };
  return {
    get daemon() {
      return get().daemon;
    },
    get scratch() {
      return get().scratch;
    },
    async volume(size, ...args) {
      volumes += 1;
      return get().daemon.createVolume(`volume-${volumes}`, size, ...args);
    },
  };
}
