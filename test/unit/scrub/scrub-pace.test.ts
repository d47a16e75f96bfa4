import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ScrubPace } from '../../../src/scrub/scrub-pace.ts';

const MIB = 1024 ** 2;

test('a pause brings a step down to the rate, and to a quarter of it beside others', () => {
  const pace = new ScrubPace(100 * MIB);
  assert.equal(pace.pauseMs({ bytes: 50 * MIB, tookMs: 100, busy: false }), 400);
  assert.equal(pace.pauseMs({ bytes: 50 * MIB, tookMs: 100, busy: true }), 1900);
});

test('a medium slower than the rate needs no pause', () => {
  assert.equal(new ScrubPace(100 * MIB).pauseMs({ bytes: MIB, tookMs: 500, busy: false }), 0);
});

test('steps are small where the rate is', () => {
  assert.equal(new ScrubPace(64 * 1024).stepBytes, 64 * 1024);
  assert.equal(new ScrubPace(1024 * MIB).stepBytes, 4 * MIB);
});
