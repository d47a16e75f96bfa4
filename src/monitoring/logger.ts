import { destination, pino, type Logger } from 'pino';
import { ReadableLogStream } from './readable-log-stream.ts';

export interface LoggerOptions {
  /** One of pino's levels, or `silent`. */
  readonly level: string;
  /** Lines for people instead of JSON. */
  readonly readable: boolean;
}

/** The daemon's log, on stderr: stdout belongs to what the user asked for. */
export function createLogger({ level, readable }: LoggerOptions): Logger {
  const options = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    serializers: { error: pino.stdSerializers.err },
  };
  // Synchronous: the line that says why the daemon died must not die with it.
  return readable
    ? pino(options, new ReadableLogStream(process.stderr))
    : pino(options, destination({ fd: 2, sync: true }));
}
