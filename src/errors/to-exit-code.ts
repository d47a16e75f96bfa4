import type { ErrorCode, ErrorKind } from './codes.ts';
import { toGalleonError } from './galleon-error.ts';

/**
 * The CLI's exit codes, one a kind. 0 is success, 1 an error nobody foresaw, 2 a wrong command line; 126 and above belong
 * to the shell.
 */
export const exitCodes: Readonly<Record<ErrorKind, number>> = {
  internal: 1,
  invalid_argument: 2,
  not_found: 3,
  already_exists: 4,
  conflict: 5,
  busy: 6,
  corrupt: 7,
  no_space: 8,
  permission: 9,
  read_only: 10,
  unavailable: 11,
  unsupported: 12,
  io: 13,
  cancelled: 14,
};

/** Codes that a script has to tell from others of their kind get an exit code of their own, from 20 on. */
export const exitCodesOfCodes: Readonly<Partial<Record<ErrorCode, number>>> = {
  VOLUME_NAME_INVALID: 20,
  VOLUME_SIZE_INVALID: 21,
  VOLUME_SIZE_UNALIGNED: 22,
  VOLUME_BLOCK_SIZE_INVALID: 23,
  MOUNT_POINT_NOT_DIRECTORY: 24,
  MOUNT_POINT_NOT_EMPTY: 25,
  MOUNT_POINT_BUSY: 26,
  STORAGE_PATH_LOCKED: 27,
  ADDRESS_IN_USE: 28,
  CONFIG_INVALID: 29,
  DAEMON_UNREACHABLE: 30,
  FUSE_DEVICE_MISSING: 31,
  STORE_FORMAT_NEWER: 32,
  CATALOG_TOO_NEW: 32,
  STORE_SUPERBLOCK_DAMAGED: 33,
  STORE_LOCKED: 34,
};

export function toExitCode(error: unknown): number {
  const { code, kind } = toGalleonError(error);
  return exitCodesOfCodes[code] ?? exitCodes[kind];
}
