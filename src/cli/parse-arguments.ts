import { InvalidArgumentError } from 'commander';
import { parseByteSize, type ByteCount } from '../lib/index.ts';

/** `10GiB` as an option's value. */
export function sizeArgument(text: string): ByteCount {
  try {
    return parseByteSize(text);
  } catch (error) {
    throw new InvalidArgumentError(error instanceof Error ? error.message : String(error));
  }
}

/** `key=value`, given any number of times. */
export function labelArgument(text: string, before: Readonly<Record<string, string>> = {}): Record<string, string> {
  const at = text.indexOf('=');
  if (at < 1) throw new InvalidArgumentError('give key=value');
  return { ...before, [text.slice(0, at)]: text.slice(at + 1) };
}
