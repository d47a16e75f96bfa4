/** The part of a pino logger that the lower layers write to: fields first, then the sentence. */
export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

function discard(): void {
  // Nothing is kept.
}

export const silentLog: Log = { debug: discard, info: discard, warn: discard, error: discard };
