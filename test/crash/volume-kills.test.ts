import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { DoomedStoragePath } from './support/doomed-storage-path.ts';

const PROGRAM = fileURLToPath(new URL('support/create-and-delete.ts', import.meta.url));
const KILLS = 12;

/** Lets it create and delete until some moment after its first acknowledgement, then kills it. @returns its output. */
async function runAndKill(root: string, afterMs: number): Promise<string[]> {
  const child = spawn(process.execPath, [PROGRAM, root], { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const ended = once(child, 'close');
  await Promise.race([once(child.stdout, 'data'), ended]);
  await sleep(afterMs);
  child.kill('SIGKILL');
  await ended;
  return output.split('\n').filter((line) => line !== '');
}

test('a process killed while it creates and deletes loses no volume it acknowledged and leaves no half one', async () => {
  await using path = await DoomedStoragePath.make();
  const there = new Set<string>();
  for (let kill = 0; kill < KILLS; kill++) {
    await path.die();
    const output = await runAndKill(path.directory.path, Math.random() * 60);
    await path.start();
    for (const line of output) {
      const [what, name = ''] = line.split(' ');
      if (what === 'created') there.add(name);
      if (what === 'deleted') there.delete(name);
    }
    const inFlight = output.at(-1)?.startsWith('begin ') === true ? output.at(-1)?.slice('begin '.length) : undefined;
    assert.deepEqual(await path.wrong(), [], output.join(', '));
    const names = path.volumes.list().map((volume) => volume.name as string);
    for (const name of ['v0', 'v1', 'v2']) {
      if (name !== inFlight) assert.equal(names.includes(name), there.has(name), `${name} after ${output.join(', ')}`);
    }
    there.clear();
    for (const name of names) there.add(name);
  }
});
