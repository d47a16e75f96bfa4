export type { Brand } from './brand.ts';
export { byteCount, formatByteSize, parseByteSize, type ByteCount } from './byte-size.ts';
export { formatDuration } from './format-duration.ts';
export { parseDuration } from './parse-duration.ts';
export { SerialQueue } from './serial-queue.ts';
export { silentLog, type Log } from './log.ts';
export { makeDirectory, syncDirectory } from './sync-directory.ts';
