import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLog } from '../../../src/lib/index.ts';
import { DamageWatch } from '../../../src/monitoring/index.ts';
import type { Damage } from '../../../src/storage/index.ts';

const PIECE: Damage = {
  kind: 'payload',
  file: 'segment-1',
  fileOffsetBytes: 4096,
  segment: 1,
  slot: 0,
  detail: 'tag differs',
};

test('each piece of damage is logged once, and a volume that turns read-only once', () => {
  const said: string[] = [];
  const log = { ...silentLog, error: (_fields: object, message: string) => void said.push(message) };
  const damage: Damage[] = [];
  let failures = 0;
  let reason = '';
  const source = {
    name: 'a',
    damage: () => damage,
    checksumFailures: () => failures,
    readOnlyReason: () => reason,
    refusal: () => '',
  };
  const watch = new DamageWatch(log, () => [source]);
  watch.look();
  assert.equal(said.length, 0);

  damage.push(PIECE);
  failures = 1;
  watch.look();
  failures = 5;
  watch.look();
  assert.equal(said.length, 1);
  assert.match(said[0] ?? '', /volume "a": damage found: payload in segment-1/);

  damage.push({ ...PIECE, slot: 1, fileOffsetBytes: 8192 });
  failures = 6;
  watch.look();
  assert.equal(said.length, 2);

  reason = 'a flush failed';
  watch.look();
  watch.look();
  assert.equal(said.length, 3);
});
