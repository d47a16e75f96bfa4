import { join } from 'node:path';
import { command, mountPoint, sparseFile, type Contestant } from '../contestant.ts';

/** Copy-on-write with checksums inside the kernel: the nearest thing to our promises without a daemon. */
export const btrfs: Contestant = {
  name: 'btrfs',
  description: 'a file on a looped btrfs: checksums and copy-on-write in the kernel',
  needs: ['mkfs.btrfs', '/dev/loop-control'],
  async open(site) {
    const image = await sparseFile(join(site.directory, 'fs.img'), site.sizeMib * 3 + 256);
    await command('mkfs.btrfs', '--quiet', image);
    const at = await mountPoint(site);
    await command('mount', '-o', 'loop', image, at);
    return sparseFile(join(at, 'disk.img'), site.sizeMib);
  },
};
