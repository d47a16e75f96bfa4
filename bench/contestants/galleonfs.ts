import { join } from 'node:path';
import { GalleonfsDaemon, type Driver } from '../../test/e2e/support/galleonfs-daemon.ts';
import type { Contestant } from '../contestant.ts';

const addon = join(import.meta.dirname, '../../build/Release/galleonfs.node');

export const galleonfs = withDriver('galleonfs', 'GalleonFS, native driver, checksums on', 'native');
export const galleonfsPortable = withDriver('galleonfs-portable', 'GalleonFS, portable driver (libfuse 2)', 'portable');

function withDriver(name: string, description: string, driver: Driver): Contestant {
  return {
    name,
    description,
    needs: ['/dev/fuse', addon],
    async open({ directory, sizeMib, cleanup }) {
      const daemon = cleanup.use(await GalleonfsDaemon.start({ directory, driver }));
      return daemon.createVolume('bench', `${sizeMib}MiB`);
    },
  };
}
