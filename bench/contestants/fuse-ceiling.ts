import { join } from 'node:path';
import { command, mountPoint, serve, waitForSize, type Contestant } from '../contestant.ts';

const source = join(import.meta.dirname, '../native/fuse_ceiling.c');

/** Not a rival: what is left when a FUSE server does nothing. No FUSE file system is faster on this machine. */
export const fuseCeiling: Contestant = {
  name: 'fuse-ceiling',
  description: 'memory behind a FUSE server that does nothing else: the limit of the transport',
  needs: ['cc', '/dev/fuse'],
  async open(site) {
    const program = join(site.directory, 'fuse_ceiling');
    await command('cc', '-O2', '-Wall', '-Wextra', '-Werror', '-pthread', '-o', program, source);
    const at = await mountPoint(site);
    serve(site, program, at, String(site.sizeMib));
    return waitForSize(site, join(at, 'data'));
  },
};
