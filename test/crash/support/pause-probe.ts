/**
 * A program: writes 4 KiB to a file and makes them durable, over and over, and prints when an operation began (milliseconds since
 * the epoch) and how long it took when that was long: what a program on the mount sees of a daemon that dies.
 *
 *   node pause-probe.ts FILE LEAST_MS
 *
 * Ends with exit code 1 at the first error, and when its standard input ends.
 */
import { fdatasyncSync, openSync, writeSync } from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';

const [file = '', leastMs = '20'] = process.argv.slice(2);
const descriptor = openSync(file, 'r+');
const block = Buffer.alloc(4096, 1);
process.stdin.resume();
while (!process.stdin.readableEnded) {
  const began = Date.now();
  const before = performance.now();
  writeSync(descriptor, block, 0, block.length, 0);
  fdatasyncSync(descriptor);
  const tookMs = performance.now() - before;
  if (tookMs >= Number(leastMs)) process.stdout.write(`${began} ${tookMs.toFixed(1)}\n`);
  await turn();
}
