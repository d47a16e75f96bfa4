import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';

const PATIENCE_MS = 20_000;

/** Waits until something that happens in the background has happened. @throws AssertionError when it does not. */
export async function eventually(
  condition: () => boolean | Promise<boolean>,
  patienceMs: number = PATIENCE_MS,
): Promise<void> {
  const deadline = Date.now() + patienceMs;
  while (Date.now() < deadline) {
    if (await condition()) return;
    await sleep(100);
  }
  assert.fail(`still not so after ${patienceMs / 1000} s: ${condition.toString()}`);
}
