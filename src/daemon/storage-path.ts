import { access, chmod, constants, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { GalleonError, toGalleonError } from '../errors/index.ts';
import { makeDirectory } from '../lib/index.ts';

/** What lies where below the storage path. All directories have mode 0700. */
export interface StoragePath {
  readonly root: string;
  readonly catalog: string;
  readonly volumes: string;
  /** A file that holds space for the catalog. */
  readonly spaceReserve: string;
  readonly controlSocket: string;
}

/** What sockaddr_un's 108 bytes leave for a path. */
const SOCKET_PATH_BYTES_MAX = 107;

export function storagePath(root: string): StoragePath {
  return {
    root,
    catalog: join(root, 'catalog'),
    volumes: join(root, 'volumes'),
    spaceReserve: join(root, 'space-reserve'),
    controlSocket: controlSocketPath(root),
  };
}

export function controlSocketPath(root: string): string {
  return join(root, 'control.sock');
}

/**
 * Makes the directories that are missing and sees that they can be used.
 * @throws GalleonError STORAGE_PATH_INVALID, STORAGE_PATH_PERMISSION, SYSTEM_NO_SPACE
 */
export async function prepareStoragePath(root: string): Promise<StoragePath> {
  const paths = storagePath(root);
  if (Buffer.byteLength(paths.controlSocket) > SOCKET_PATH_BYTES_MAX) {
    throw new GalleonError(
      'STORAGE_PATH_INVALID',
      `the storage path ${root} is too long: ${paths.controlSocket} must have at most ${SOCKET_PATH_BYTES_MAX} bytes`,
    );
  }
  try {
    await makeDirectory(root);
    if (!(await stat(root)).isDirectory()) throw notDirectory(root);
    await access(root, constants.R_OK | constants.W_OK | constants.X_OK);
    for (const directory of [paths.catalog, paths.volumes]) {
      await makeDirectory(directory);
      await chmod(directory, 0o700);
    }
  } catch (error) {
    throw unusable(root, error);
  }
  return paths;
}

/** A socket file a killed daemon left. Only for the holder of the catalog's lock. */
export async function removeStaleSocket({ controlSocket }: StoragePath): Promise<void> {
  await rm(controlSocket, { force: true });
}

function unusable(root: string, error: unknown): GalleonError {
  if (error instanceof GalleonError) return error;
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code === 'EEXIST' || code === 'ENOTDIR') return notDirectory(root);
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') {
    return new GalleonError(
      'STORAGE_PATH_PERMISSION',
      `the storage path ${root} cannot be read and written by this user: give another --storage-path or change its owner`,
      { cause: error },
    );
  }
  return toGalleonError(error, `the storage path ${root} cannot be used`);
}

function notDirectory(root: string): GalleonError {
  return new GalleonError(
    'STORAGE_PATH_INVALID',
    `the storage path ${root} is not a directory: give another --storage-path`,
  );
}
