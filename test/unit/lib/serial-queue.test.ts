import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { SerialQueue } from '../../../src/lib/index.ts';

test('tasks with one key run one after another, also after a failure', async () => {
  const queue = new SerialQueue();
  const seen: string[] = [];
  const failing = queue.run('a', async () => {
    seen.push('first starts');
    await turn();
    seen.push('first ends');
    throw new Error('first');
  });
  const second = queue.run('a', () => Promise.resolve(seen.push('second')));
  await assert.rejects(failing, /first/);
  await second;
  assert.deepEqual(seen, ['first starts', 'first ends', 'second']);
});

test('tasks with different keys do not wait for each other', async () => {
  const queue = new SerialQueue();
  const gate = Promise.withResolvers<undefined>();
  const held = queue.run('a', async () => await gate.promise);
  assert.equal(await queue.run('b', () => Promise.resolve('done')), 'done');
  gate.resolve(undefined);
  await held;
});

test('idle waits for what was started', async () => {
  const queue = new SerialQueue();
  let done = false;
  void queue.run('a', async () => {
    await turn();
    done = true;
  });
  await queue.idle();
  assert.equal(done, true);
});
