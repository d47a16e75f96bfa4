import type { ErrorCode, ErrorKind } from './codes.ts';
import { toGalleonError } from './galleon-error.ts';

/** The body of an HTTP error answer, `application/problem+json` (RFC 9457). */
export interface Problem {
  /** A name for the code, not an address to fetch. */
  type: `urn:galleonfs:error:${string}`;
  title: string;
  status: number;
  detail: string;
  code: ErrorCode;
  retryable: boolean;
  [detail: string]: string | number | boolean;
}

const statusAndTitle: Record<ErrorKind, readonly [status: number, title: string]> = {
  invalid_argument: [400, 'The request is not valid'],
  not_found: [404, 'Not found'],
  already_exists: [409, 'Already exists'],
  conflict: [409, 'Not possible in the present state'],
  busy: [423, 'In use'],
  corrupt: [500, 'Stored data is damaged'],
  no_space: [507, 'Out of space'],
  permission: [403, 'Not permitted'],
  read_only: [403, 'Read-only'],
  unavailable: [503, 'Not available now'],
  unsupported: [501, 'Not supported'],
  cancelled: [409, 'Cancelled'],
  io: [500, 'Input or output failed'],
  internal: [500, 'Internal error'],
};

/** `details` become extension members; they never replace a standard one. */
export function toProblem(error: unknown): Problem {
  const { kind, code, message, details, retryable } = toGalleonError(error);
  const [status, title] = statusAndTitle[kind];
  return {
    ...details,
    type: `urn:galleonfs:error:${code.toLowerCase().replaceAll('_', '-')}`,
    title,
    status,
    detail: message,
    code,
    retryable,
  };
}
