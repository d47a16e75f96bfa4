import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseDuration } from '../../../src/lib/index.ts';

test('a time is a number with a unit', () => {
  assert.equal(parseDuration('7d'), 7 * 86_400_000);
  assert.equal(parseDuration('12h'), 12 * 3_600_000);
  assert.equal(parseDuration(' 1.5 m '), 90_000);
  assert.equal(parseDuration('45S'), 45_000);
  assert.equal(parseDuration('2w'), 14 * 86_400_000);
});

test('anything else is refused with a sentence', () => {
  for (const text of ['', '7', 'd', '0d', '-1d', '7 days', '7dd']) {
    assert.throws(() => parseDuration(text), { name: 'RangeError', message: /such as 7d/ }, text);
  }
});
