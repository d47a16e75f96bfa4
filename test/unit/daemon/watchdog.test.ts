import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Watchdog, type MountProgress } from '../../../src/daemon/watchdog.ts';
import { silentLog } from '../../../src/lib/index.ts';

/** A watchdog on a clock that the test moves; what it said so far. */
function watching(progress: () => MountProgress[]): { look: (atMs: number) => number } {
  let now = 0;
  let fed = 0;
  const watchdog = new Watchdog({
    notify: (state) => {
      assert.equal(state, 'WATCHDOG=1');
      fed += 1;
    },
    progress,
    log: silentLog,
    now: () => now,
  });
  return {
    look: (atMs) => {
      now = atMs;
      watchdog.feed();
      return fed;
    },
  };
}

test('a daemon without mounts, or without requests, is well', () => {
  assert.equal(watching(() => []).look(0), 1);
  const idle = watching(() => [{ volume: 'a', inFlight: 0, finished: 7 }]);
  assert.equal(idle.look(0), 1);
  assert.equal(idle.look(1_000_000), 2);
});

test('requests that are finished slowly are no reason to restart', () => {
  let finished = 0;
  const slow = watching(() => [{ volume: 'a', inFlight: 16, finished: (finished += 1) }]);
  assert.equal(slow.look(0), 1);
  assert.equal(slow.look(59_000), 2);
  assert.equal(slow.look(118_000), 3);
});

test('a mount whose requests stand still for more than a minute ends the feeding, until they move', () => {
  let finished = 5;
  const stuck = watching(() => [
    { volume: 'well', inFlight: 0, finished: 1 },
    { volume: 'stuck', inFlight: 1, finished },
  ]);
  assert.equal(stuck.look(0), 1);
  assert.equal(stuck.look(60_000), 2);
  assert.equal(stuck.look(60_001), 2);
  finished = 6;
  assert.equal(stuck.look(60_002), 3);
});
