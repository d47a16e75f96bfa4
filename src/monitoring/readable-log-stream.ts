import { styleText } from 'node:util';

const COLOURS = { warn: 'yellow', error: 'red', fatal: 'red', debug: 'gray', trace: 'gray' } as const;

/** Turns pino's JSON lines into `12:00:05 WARN  message`, for a terminal. Problems show their fields too. */
export class ReadableLogStream {
  readonly #output: NodeJS.WritableStream;

  constructor(output: NodeJS.WritableStream) {
    this.#output = output;
  }

  write(line: string): void {
    this.#output.write(readable(line));
  }
}

function readable(line: string): string {
  const { time, level, msg, ...fields } = JSON.parse(line) as Record<string, unknown>;
  const name = String(level);
  const colour = Object.hasOwn(COLOURS, name) ? COLOURS[name as keyof typeof COLOURS] : 'green';
  const clock = String(time).slice(11, 19);
  const rest = name !== 'info' && Object.keys(fields).length > 0 ? ` ${styleText('gray', JSON.stringify(fields))}` : '';
  return `${styleText('gray', clock)} ${styleText(colour, name.toUpperCase().padEnd(5))} ${String(msg)}${rest}\n`;
}
