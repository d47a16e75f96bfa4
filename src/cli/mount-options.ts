import { InvalidArgumentError } from 'commander';
import type { MountBody } from '../api/index.ts';

type MountOptions = NonNullable<MountBody['options']>;
type Mutable<Type> = { -readonly [Key in keyof Type]: Type[Key] };

export const MOUNT_OPTIONS_HELP =
  'ro, rw, sync, allow_other, uid=N, gid=N, mode=OCTAL (of data), truncate=discard|ignore|refuse';

const WORDS: Readonly<Record<string, MountOptions>> = {
  ro: { readOnly: true },
  rw: { readOnly: false },
  sync: { sync: true },
  async: { sync: false },
  allow_other: { allowOther: true },
};

/** Reads `ro,sync,uid=1000`, as mount(8) has them. */
export function mountOptionsArgument(text: string, before: MountOptions = {}): MountOptions {
  const options: Mutable<MountOptions> = { ...before };
  for (const word of text.split(',')) {
    const [key = '', value] = word.trim().split('=', 2);
    if (value === undefined) {
      const meaning = Object.hasOwn(WORDS, key) ? WORDS[key] : undefined;
      if (meaning === undefined) throw unknown(word);
      Object.assign(options, meaning);
    } else if (key === 'uid' || key === 'gid') {
      options[key] = whole(word, value, 10);
    } else if (key === 'mode') {
      options.mode = whole(word, value, 8);
    } else if (key === 'truncate' && (value === 'discard' || value === 'ignore' || value === 'refuse')) {
      options.truncate = value;
    } else {
      throw unknown(word);
    }
  }
  return options;
}

function whole(word: string, digits: string, radix: 8 | 10): number {
  const pattern = radix === 8 ? /^[0-7]{3,4}$/ : /^\d{1,10}$/;
  if (!pattern.test(digits)) throw new InvalidArgumentError(`"${word}" needs ${radix === 8 ? 'an octal' : 'a'} number`);
  return Number.parseInt(digits, radix);
}

function unknown(word: string): InvalidArgumentError {
  return new InvalidArgumentError(`"${word}" is no mount option; there are ${MOUNT_OPTIONS_HELP}`);
}
