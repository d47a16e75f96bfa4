import { constants } from 'node:os';
import type { ErrorKind } from './codes.ts';
import { toGalleonError } from './galleon-error.ts';

const errnoOfKind: Record<ErrorKind, number> = {
  invalid_argument: constants.errno.EINVAL,
  not_found: constants.errno.ENOENT,
  already_exists: constants.errno.EEXIST,
  conflict: constants.errno.EBUSY,
  busy: constants.errno.EBUSY,
  corrupt: constants.errno.EIO,
  no_space: constants.errno.ENOSPC,
  permission: constants.errno.EACCES,
  read_only: constants.errno.EROFS,
  unavailable: constants.errno.EIO,
  unsupported: constants.errno.EOPNOTSUPP,
  cancelled: constants.errno.ECANCELED,
  io: constants.errno.EIO,
  internal: constants.errno.EIO,
};

/** What a file operation on a mount returns for it: a positive errno value. */
export function toErrno(error: unknown): number {
  return errnoOfKind[toGalleonError(error).kind];
}
