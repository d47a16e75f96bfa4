import { resolve } from 'node:path';
import { GalleonError } from '../errors/index.ts';
import { unmountStale } from '../storage/index.ts';
import { mountedAt, readMountTable } from './mount-table.ts';
import { isStale, MOUNT_TYPE } from './stale-mount.ts';

/**
 * Takes a mount away for which no daemon answers; `lazy` also one that somebody still keeps for a daemon to come.
 * @throws GalleonError VOLUME_NOT_MOUNTED, MOUNT_BUSY, FUSE_UNMOUNT_FAILED
 */
export async function unmountLeftover(path: string, options: { readonly lazy: boolean }): Promise<void> {
  const wanted = resolve(path);
  const mounted = mountedAt(await readMountTable(), wanted);
  if (mounted?.type !== MOUNT_TYPE) {
    throw new GalleonError('VOLUME_NOT_MOUNTED', `no volume of GalleonFS is mounted at ${wanted}`);
  }
  if (!options.lazy && !(await isStale(mounted))) {
    throw new GalleonError(
      'MOUNT_BUSY',
      `the mount at ${wanted} is still kept for a daemon to come: start that daemon, or give --lazy to take it away all the same`,
    );
  }
  await unmountStale(wanted, { lazy: true });
}
