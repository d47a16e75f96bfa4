import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatByteSize, parseByteSize } from '../../../src/lib/index.ts';

const SIZES: [string, number][] = [
  ['4096', 4096],
  ['10GiB', 10 * 1024 ** 3],
  ['512M', 512 * 1024 ** 2],
  ['1 GB', 1e9],
  ['1.5TiB', 1.5 * 1024 ** 4],
  ['64tib', 64 * 1024 ** 4],
  ['0', 0],
];

for (const [text, bytes] of SIZES) {
  test(`"${text}" is ${bytes} bytes`, () => assert.equal(parseByteSize(text), bytes));
}

for (const text of ['', 'ten', '-1', '1GG', '10 G i B', '1e3', '0.3', '9PiB9']) {
  test(`"${text}" is refused as a size`, () => assert.throws(() => parseByteSize(text), RangeError));
}

test('sizes are shown in the largest unit that leaves at least one, with one decimal', () => {
  assert.equal(formatByteSize(0), '0 B');
  assert.equal(formatByteSize(1536), '1.5 KiB');
  assert.equal(formatByteSize(10 * 1024 ** 3), '10 GiB');
});
