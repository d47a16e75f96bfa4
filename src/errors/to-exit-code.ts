import type { ErrorKind } from './codes.ts';
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

export function toExitCode(error: unknown): number {
  return exitCodes[toGalleonError(error).kind];
}
