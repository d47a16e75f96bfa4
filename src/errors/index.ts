export { errorCodes, isErrorCode, type ErrorCode, type ErrorKind } from './codes.ts';
export { GalleonError, toGalleonError, type GalleonErrorOptions } from './galleon-error.ts';
export { toErrno } from './to-errno.ts';
export { exitCodes, exitCodesOfCodes, toExitCode } from './to-exit-code.ts';
export { toProblem, type Problem } from './to-problem.ts';
