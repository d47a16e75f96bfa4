import { join } from 'node:path';
import { mountPoint, serve, sparseFile, waitForSize, type Contestant } from '../contestant.ts';

export const nbdfuse: Contestant = {
  name: 'nbdfuse',
  description: 'nbdkit file behind nbdfuse (libfuse 3)',
  needs: ['nbdfuse', 'nbdkit', '/dev/fuse'],
  async open(site) {
    const image = await sparseFile(join(site.directory, 'disk.img'), site.sizeMib);
    const at = await mountPoint(site);
    serve(site, 'nbdfuse', at, '[', 'nbdkit', 'file', image, ']');
    return waitForSize(site, join(at, 'nbd'));
  },
};
