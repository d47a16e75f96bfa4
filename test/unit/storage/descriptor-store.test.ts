import assert from 'node:assert/strict';
import { test } from 'node:test';
import { byMount } from '../../../src/storage/descriptor-store.ts';

test('descriptors are grouped by mount, the connection before its clones in their order', () => {
  const named = [
    { name: 'mount-00000000000000aa-10', fd: 3 },
    { name: 'mount-00000000000000bb-0', fd: 4 },
    { name: 'mount-00000000000000aa-0', fd: 5 },
    { name: 'mount-00000000000000aa-2', fd: 6 },
  ];
  assert.deepEqual(
    [...byMount(named)],
    [
      ['00000000000000aa', [5, 6, 3]],
      ['00000000000000bb', [4]],
    ],
  );
});

test('descriptors of other kinds are none of a mount', () => {
  const named = ['slots-0011223344556677', 'stored', 'mount-xyz-0', 'mount-00000000000000aa', ''];
  assert.equal(byMount(named.map((name, index) => ({ name, fd: 3 + index }))).size, 0);
});
