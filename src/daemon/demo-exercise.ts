/**
 * The demo's hands, run as a process of its own: the daemon must not open files on its own mounts. Prints one JSON object
 * a line; ends with exit code 1 when something read back was not what was written.
 *
 * Arguments: the path of a volume's `data`, the volume's name.
 */
import { createHash } from 'node:crypto';
import { constants, fstatSync } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { demoData } from './demo-data.ts';

const MIB = 1024 ** 2;
const LENGTH_BYTES = 16 * MIB;
const CHUNK_BYTES = MIB;
const PAGE_BYTES = 8192;
const PAGES = 64;

export interface DemoStep {
  readonly ok: boolean;
  readonly text: string;
}

function say(text: string, ok = true): void {
  process.stdout.write(`${JSON.stringify({ ok, text } satisfies DemoStep)}\n`);
}

async function readAll(file: FileHandle): Promise<Buffer> {
  const into = Buffer.alloc(LENGTH_BYTES);
  for (let at = 0; at < LENGTH_BYTES; at += CHUNK_BYTES) {
    const { bytesRead } = await file.read(into, at, CHUNK_BYTES, at);
    if (bytesRead !== CHUNK_BYTES) throw new Error(`read ${bytesRead} of ${CHUNK_BYTES} bytes at ${at}`);
  }
  return into;
}

/** Small writes in a scattered order, each one durable before the next, as a database's journal does. */
async function writeDurablePages(path: string, data: Buffer): Promise<void> {
  const file = await open(path, constants.O_WRONLY | constants.O_DSYNC);
  const before = performance.now();
  for (let page = 0; page < PAGES; page += 1) {
    const at = ((page * 37) % (LENGTH_BYTES / PAGE_BYTES)) * PAGE_BYTES;
    await file.write(data, at, PAGE_BYTES, at);
  }
  await file.close();
  say(`wrote ${PAGES} pages of ${PAGE_BYTES} bytes, each durable (O_DSYNC), in ${inMs(before)}`);
}

async function writeAll(path: string, data: Buffer): Promise<void> {
  const file = await open(path, 'r+');
  const before = performance.now();
  for (let at = 0; at < data.length; at += CHUNK_BYTES) await file.write(data, at, CHUNK_BYTES, at);
  await file.datasync();
  await file.close();
  say(`wrote ${data.length / MIB} MiB and made them durable (fdatasync) in ${inMs(before)}`);
}

async function verify(path: string, expected: Buffer): Promise<void> {
  const file = await open(path, 'r');
  const before = performance.now();
  const found = await readAll(file);
  const took = inMs(before);
  const { size } = fstatSync(file.fd);
  await file.close();
  if (!found.equals(expected)) {
    say(`read back ${found.length / MIB} MiB, and they are NOT what was written`, false);
    process.exitCode = 1;
    return;
  }
  const sum = createHash('sha256').update(found).digest('hex').slice(0, 16);
  say(
    `read back ${found.length / MIB} MiB in ${took}: every byte is right (SHA-256 ${sum}…); the file still has ${size} bytes`,
  );
}

function inMs(since: number): string {
  return `${Math.max(1, Math.round(performance.now() - since))} ms`;
}

async function main(path: string, name: string): Promise<void> {
  const expected = demoData(name, LENGTH_BYTES);
  const file = await open(path, 'r');
  const present = await readAll(file);
  await file.close();
  if (present.equals(expected)) {
    say('what an earlier run wrote is still there');
  } else if (present.some((byte) => byte !== 0)) {
    say('it holds other data by now, which is left alone');
    return;
  } else {
    if (name === 'database') await writeDurablePages(path, expected);
    await writeAll(path, expected);
  }
  await verify(path, expected);
}

const [, , path, name] = process.argv;
if (path === undefined || name === undefined) throw new Error('usage: demo-exercise <data> <volume>');
try {
  await main(path, name);
} catch (error) {
  say(error instanceof Error ? error.message : String(error), false);
  process.exitCode = 1;
}
