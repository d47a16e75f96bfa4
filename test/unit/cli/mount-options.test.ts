import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mountOptionsArgument } from '../../../src/cli/mount-options.ts';

test('mount options are read as mount(8) has them', () => {
  assert.deepEqual(mountOptionsArgument('ro,sync,allow_other,uid=1000,gid=5,mode=0640,truncate=ignore'), {
    readOnly: true,
    sync: true,
    allowOther: true,
    uid: 1000,
    gid: 5,
    mode: 0o640,
    truncate: 'ignore',
  });
});

test('a later option wins', () => assert.deepEqual(mountOptionsArgument('ro,rw'), { readOnly: false }));

for (const text of ['', 'r', 'uid', 'uid=x', 'mode=9', 'truncate=never', 'constructor', 'ro=1']) {
  test(`"${text}" is refused as a mount option`, () => assert.throws(() => mountOptionsArgument(text)));
}
