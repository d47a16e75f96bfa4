import { errorCodes, isErrorCode, retryableCodes, type ErrorCode, type ErrorKind } from './codes.ts';

export interface GalleonErrorOptions {
  cause?: unknown;
  /** The values at fault, for logs and for programs that read problem+json. Nothing secret. */
  details?: Readonly<Record<string, string | number | boolean>>;
}

/**
 * The one error that leaves any part of GalleonFS. `message` is for people: what was wrong, with what value, and what to
 * do. Programs decide by `code`, or more coarsely by `kind`.
 */
export class GalleonError extends Error {
  override readonly name = 'GalleonError';
  readonly code: ErrorCode;
  readonly kind: ErrorKind;
  readonly retryable: boolean;
  readonly details: Readonly<Record<string, string | number | boolean>>;

  constructor(code: ErrorCode, message: string, options: GalleonErrorOptions = {}) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined);
    this.code = code;
    this.kind = errorCodes[code];
    this.retryable = retryableCodes.has(code);
    this.details = options.details ?? {};
  }
}

/** Leaves a GalleonError as it is and wraps whatever else was thrown; `context` says what was being done. */
export function toGalleonError(error: unknown, context?: string): GalleonError {
  if (error instanceof GalleonError) return error;
  const said = error instanceof Error ? error.message : String(error);
  const message = context === undefined ? said : `${context}: ${said}`;
  return new GalleonError(codeOf(error), message, { cause: error });
}

function codeOf(error: unknown): ErrorCode {
  if (!(error instanceof Error) || !('code' in error)) return 'INTERNAL';
  if (isErrorCode(error.code)) return error.code;
  if (!('syscall' in error)) return 'INTERNAL';
  switch (error.code) {
    case 'EACCES':
    case 'EPERM':
      return 'SYSTEM_PERMISSION';
    case 'ENOSPC':
    case 'EDQUOT':
      return 'SYSTEM_NO_SPACE';
    default:
      return 'SYSTEM_ERROR';
  }
}
