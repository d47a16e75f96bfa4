import { GalleonError, isErrorCode } from '../errors/index.ts';

/** The one place where errors of the native half become GalleonErrors. `doing` opens the message. */
export async function settled<T>(doing: string, call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    throw fromNative(doing, error);
  }
}

function fromNative(doing: string, error: unknown): unknown {
  if (!(error instanceof Error) || !('code' in error) || !('errno' in error)) return error;
  const message = `${doing}: ${error.message}`;
  if (!isErrorCode(error.code)) {
    return new GalleonError('INTERNAL', `${message} (unknown native code ${String(error.code)})`, { cause: error });
  }
  return new GalleonError(error.code, message, { cause: error });
}
