import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mountedAt, parseMountTable } from '../../../src/mount/mount-table.ts';

const TABLE = `23 28 0:21 / /proc rw,nosuid shared:12 - proc proc rw
36 35 98:0 /mnt1 /mnt/with\\040space rw,noatime master:1 propagate_from:2 - ext3 /dev/root rw,errors=continue
40 28 0:50 / /mnt/volume rw - ext4 /dev/sda1 rw
41 40 0:51 / /mnt/volume rw - fuse.galleonfs galleonfs rw
`;

test('mount points, types and sources are read, whatever optional fields stand between', () => {
  const table = parseMountTable(TABLE);
  assert.equal(table.length, 4);
  assert.deepEqual(table[1], { deviceId: '98:0', mountPoint: '/mnt/with space', type: 'ext3', source: '/dev/root' });
});

test('of mounts on one another the latest counts', () => {
  assert.equal(mountedAt(parseMountTable(TABLE), '/mnt/volume')?.type, 'fuse.galleonfs');
  assert.equal(mountedAt(parseMountTable(TABLE), '/mnt'), undefined);
});

test('lines that are none are passed over', () => {
  assert.deepEqual(parseMountTable('\n1 2 3\n- - -\n'), []);
});
