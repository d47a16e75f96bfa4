import { mkdir, readdir, realpath, rmdir, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { GalleonError, toGalleonError } from '../errors/index.ts';
import type { Log } from '../lib/index.ts';
import { unmountStale } from '../storage/index.ts';
import { mountedAt, readMountTable, type MountTableEntry } from './mount-table.ts';
import { isStale, MOUNT_TYPE } from './stale-mount.ts';

/** A directory that is ready to be mounted on. */
export interface MountPoint {
  /** Absolute, without symbolic links: as the mount table shows it. */
  readonly path: string;
  /** Made for this mount, or for the dead one before it, so removed after it. */
  readonly created: boolean;
}

/**
 * Makes sure that `path` is an empty directory nothing is mounted on, making it (and its parents) where it is missing. A
 * mount that an earlier daemon left dead is taken away first.
 *
 * Nothing below a live mount of ours is touched: all is decided by the mount table before the path itself is looked at.
 *
 * @throws GalleonError MOUNT_POINT_BUSY, MOUNT_POINT_NOT_DIRECTORY, MOUNT_POINT_NOT_EMPTY, MOUNT_POINT_PERMISSION
 */
export async function prepareMountPoint(path: string, log: Log): Promise<MountPoint> {
  const table = await readMountTable();
  refuseBelowOurs(table, resolve(path));
  const real = await throughParents(resolve(path));
  refuseBelowOurs(table, real);
  const wasOurs = await takeStaleMountsAway(table, real, log);
  const made = await makeDirectory(real);
  if (!made) await requireEmpty(real);
  return { path: real, created: made || wasOurs };
}

/**
 * Makes the directory below which volumes appear, where it is missing.
 * @throws GalleonError MOUNT_POINT_NOT_DIRECTORY, MOUNT_POINT_PERMISSION
 */
export async function prepareMountRoot(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true });
  } catch (error) {
    throw unusable(path, error);
  }
}

/** Removes the directory if it was made for the mount and is still empty. */
export async function releaseMountPoint({ path, created }: MountPoint): Promise<void> {
  if (!created) return;
  await rmdir(path).catch(() => undefined); // Somebody put a file there, or it is mounted again: theirs now.
}

function refuseBelowOurs(table: readonly MountTableEntry[], path: string): void {
  const above = table.find(({ type, mountPoint }) => type === MOUNT_TYPE && path.startsWith(`${mountPoint}/`));
  if (above !== undefined) {
    throw new GalleonError(
      'MOUNT_POINT_NOT_DIRECTORY',
      `the mount point ${path} lies inside the mounted volume at ${above.mountPoint}, which holds no directories`,
    );
  }
}

/** Resolves links in the parents only: the last part may be a dead mount, which cannot even be looked at. */
async function throughParents(path: string): Promise<string> {
  const parent = dirname(path);
  try {
    await mkdir(parent, { recursive: true });
    return join(await realpath(parent), basename(path));
  } catch (error) {
    throw unusable(path, error);
  }
}

/** Whether there were any. */
async function takeStaleMountsAway(table: readonly MountTableEntry[], path: string, log: Log): Promise<boolean> {
  let found = false;
  for (let mounted = mountedAt(table, path); mounted !== undefined; mounted = mountedAt(await readMountTable(), path)) {
    if (!(await isStale(mounted))) {
      throw new GalleonError(
        'MOUNT_POINT_BUSY',
        `the mount point ${path} is already mounted (${mounted.type} from ${mounted.source}): unmount it or choose another path`,
        { details: { mountPoint: path } },
      );
    }
    await unmountStale(path, { lazy: true });
    log.warn({ mountPoint: path, source: mounted.source }, `took away the stale mount at ${path}; its daemon is gone`);
    found = true;
  }
  return found;
}

async function makeDirectory(path: string): Promise<boolean> {
  try {
    await mkdir(path, { mode: 0o755 });
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false;
    throw unusable(path, error);
  }
}

async function requireEmpty(path: string): Promise<void> {
  let entries: string[];
  try {
    if (!(await stat(path)).isDirectory()) throw notDirectory(path);
    entries = await readdir(path);
  } catch (error) {
    throw unusable(path, error);
  }
  const first = entries[0];
  if (first !== undefined) {
    throw new GalleonError(
      'MOUNT_POINT_NOT_EMPTY',
      `the mount point ${path} is not empty (it holds "${first}"), and mounting would hide what is there: empty it or choose another path`,
      { details: { mountPoint: path } },
    );
  }
}

function unusable(path: string, error: unknown): GalleonError {
  if (error instanceof GalleonError) return error;
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code === 'ENOTDIR' || code === 'EEXIST') return notDirectory(path);
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') {
    return new GalleonError('MOUNT_POINT_PERMISSION', `the mount point ${path} cannot be used: permission is denied`, {
      cause: error,
      details: { mountPoint: path },
    });
  }
  return toGalleonError(error, `the mount point ${path} cannot be used`);
}

function notDirectory(path: string): GalleonError {
  return new GalleonError(
    'MOUNT_POINT_NOT_DIRECTORY',
    `the mount point ${path} is not a directory, or something on the way to it is none: choose another path`,
    { details: { mountPoint: path } },
  );
}
