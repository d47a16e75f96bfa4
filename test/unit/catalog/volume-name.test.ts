import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseVolumeName } from '../../../src/catalog/index.ts';

for (const name of ['a', 'web-server', '0.db_1', 'x'.repeat(63)]) {
  test(`"${name}" is a volume name`, () => assert.equal(parseVolumeName(name), name));
}

const REFUSED: [string, RegExp][] = [
  ['', /is empty/],
  ['a/b', /contains "\/"/],
  ['..', /"\.\."/],
  ['a..b', /"\.\."/],
  ['.hidden', /starts with "\."/],
  ['-x', /starts with "-"/],
  ['Database', /capital/],
  ['x'.repeat(64), /64 characters/],
  ['a b', /contains " "/],
  ['a\0', /contains/],
  ['naïve', /contains "ï"/],
];

for (const [name, reason] of REFUSED) {
  test(`${JSON.stringify(name)} is refused as a volume name`, () => {
    assert.throws(() => parseVolumeName(name), { code: 'VOLUME_NAME_INVALID', message: reason });
  });
}
