import type { Brand } from './brand.ts';

/** A whole number of bytes, 0 to 2^53 - 1 (the largest volume is 2^46 bytes, so a `number` always holds it). */
export type ByteCount = Brand<number, 'ByteCount'>;

const BINARY_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const;

/** "K", "M", "G", "T" and "P" alone are binary (as in `dd`, `truncate` and `qemu-img`); "KB", "MB", "GB" are decimal. */
const UNIT_BYTES: ReadonlyMap<string, number> = new Map([
  ['', 1],
  ['b', 1],
  ...['k', 'm', 'g', 't', 'p'].flatMap((letter, index): [string, number][] => [
    [letter, 1024 ** (index + 1)],
    [`${letter}ib`, 1024 ** (index + 1)],
    [`${letter}b`, 1000 ** (index + 1)],
  ]),
]);

/** @throws RangeError when `value` is not a whole number of bytes. */
export function byteCount(value: number): ByteCount {
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new RangeError(`${String(value)} is not a whole number of bytes between 0 and 2^53 - 1`);
  }
  return value as ByteCount;
}

/**
 * Reads `10GiB`, `512M`, `1.5 TB`, `4096`. 1 KiB = 1K = 1024 bytes, 1 KB = 1000 bytes; letter case does not matter.
 * @throws RangeError with a sentence for the user when the text is no size or not a whole number of bytes.
 */
export function parseByteSize(text: string): ByteCount {
  const match = /^\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*$/i.exec(text);
  const unit = UNIT_BYTES.get(match?.[2]?.toLowerCase() ?? 'none');
  if (match?.[1] === undefined || unit === undefined) {
    throw new RangeError(
      `"${text}" is not a size: give a number of bytes or a number with KiB, MiB, GiB or TiB (1024-based; K, M, G, T mean the same) or KB, MB, GB, TB (1000-based), such as 10GiB`,
    );
  }
  const bytes = Number(match[1]) * unit;
  if (!Number.isSafeInteger(bytes)) {
    throw new RangeError(`"${text}" is not a whole number of bytes below 2^53`);
  }
  return bytes as ByteCount;
}

/** `10 GiB`, `1.5 MiB`, `512 B`: at most one decimal, 1024-based. */
export function formatByteSize(bytes: number): string {
  const exponent = bytes < 1024 ? 0 : Math.min(Math.floor(Math.log2(bytes) / 10), BINARY_UNITS.length - 1);
  const value = bytes / 1024 ** exponent;
  return `${String(Math.round(value * 10) / 10)} ${BINARY_UNITS[exponent] ?? 'B'}`;
}
