// The store as TypeScript sees it: what VolumeStore promises, and the life cycle of its handle.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { Worker } from 'node:worker_threads';
import { VolumeStore } from '../../src/storage/index.ts';

const MIB = 1024 * 1024;
const SIZE_BYTES = 16 * MIB;
const volumeId = Uint8Array.from({ length: 16 }, (_, index) => index + 1);

/** What a test leaves behind is taken away last made first: node's own after() hooks run first made first. */
const leftovers = new WeakMap<TestContext, AsyncDisposableStack>();

function atEnd(t: TestContext, remove: () => Promise<void>): void {
  const stack = leftovers.get(t) ?? new AsyncDisposableStack();
  if (!leftovers.has(t)) t.after(() => stack.disposeAsync());
  leftovers.set(t, stack);
  stack.defer(remove);
}

async function scratchDirectory(t: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'galleonfs-test-'));
  atEnd(t, () => rm(directory, { recursive: true }));
  return directory;
}

async function newStore(t: TestContext): Promise<{ directory: string; store: VolumeStore }> {
  const directory = await scratchDirectory(t);
  await VolumeStore.create(directory, { volumeId, sizeBytes: SIZE_BYTES });
  const store = await VolumeStore.open(directory);
  atEnd(t, () => store.close());
  return { directory, store };
}

async function readBack(store: VolumeStore, offsetBytes: number, lengthBytes: number): Promise<Buffer> {
  const into = Buffer.alloc(lengthBytes, 0xee);
  await store.read(offsetBytes, into);
  return into;
}

const hasCode = (code: string) => (error: unknown) =>
  error instanceof Error && 'code' in error && error.code === code && 'kind' in error;

test('a new store shows its size, block size and id, and reads as zeros', async (t) => {
  const { store } = await newStore(t);
  assert.equal(store.sizeBytes, SIZE_BYTES);
  assert.equal(store.blockSizeBytes, 4096);
  assert.deepEqual(Buffer.from(store.volumeId), Buffer.from(volumeId));
  assert.equal(store.readOnly, false);
  assert.deepEqual(await readBack(store, 4000, 9000), Buffer.alloc(9000));
});

test('unaligned writes are read back, and again after closing and opening', async (t) => {
  const { directory, store } = await newStore(t);
  const data = Buffer.from('across a block boundary');
  await store.write(4090, data, { durable: true });
  await store.close();
  const again = await VolumeStore.open(directory);
  atEnd(t, () => again.close());
  assert.deepEqual(await readBack(again, 4090, data.length), data);
  assert.deepEqual(await readBack(again, 0, 4090), Buffer.alloc(4090));
});

test('a discarded range reads as zeros and is a hole', async (t) => {
  const { store } = await newStore(t);
  await store.write(0, Buffer.alloc(64 * 1024, 7));
  await store.discard(8192, 16 * 1024);
  assert.deepEqual(await readBack(store, 8192, 16 * 1024), Buffer.alloc(16 * 1024));
  assert.equal(await store.seek(0, 'hole'), 8192);
  assert.equal(await store.seek(8192, 'data'), 24 * 1024);
  assert.equal(await store.seek(64 * 1024, 'data'), undefined);
});

test('a range beyond the end is refused with its own code', async (t) => {
  const { store } = await newStore(t);
  await assert.rejects(store.read(SIZE_BYTES - 1, Buffer.alloc(2)), hasCode('STORE_INVALID_RANGE'));
  await assert.rejects(store.write(SIZE_BYTES, Buffer.alloc(1)), hasCode('STORE_INVALID_RANGE'));
});

test('creating over a store, opening nothing and opening twice are refused with their own codes', async (t) => {
  const { directory } = await newStore(t);
  await assert.rejects(VolumeStore.create(directory, { volumeId, sizeBytes: SIZE_BYTES }), hasCode('STORE_EXISTS'));
  await assert.rejects(VolumeStore.open(directory), hasCode('STORE_LOCKED'));
  await assert.rejects(VolumeStore.open(join(directory, 'nothing')), hasCode('STORE_NOT_FOUND'));
  const empty = join(await scratchDirectory(t), 'empty');
  await mkdir(empty);
  await assert.rejects(VolumeStore.open(empty), hasCode('STORE_NOT_FOUND'));
});

test('sizes that cannot be are refused with their own codes', async (t) => {
  const directory = await scratchDirectory(t);
  for (const sizeBytes of [0, 4096, MIB + 1, 65 * MIB * MIB]) {
    await assert.rejects(VolumeStore.create(directory, { volumeId, sizeBytes }), hasCode('STORE_INVALID_SIZE'));
  }
  await assert.rejects(
    VolumeStore.create(directory, { volumeId, sizeBytes: SIZE_BYTES, blockSizeBytes: 5000 }),
    hasCode('STORE_INVALID_BLOCK_SIZE'),
  );
});

test('a read-only store refuses to be written', async (t) => {
  const { directory, store } = await newStore(t);
  await store.write(0, Buffer.from('kept'));
  await store.close();
  const readOnly = await VolumeStore.open(directory, { readOnly: true });
  atEnd(t, () => readOnly.close());
  assert.equal(readOnly.readOnly, true);
  assert.deepEqual(await readBack(readOnly, 0, 4), Buffer.from('kept'));
  await assert.rejects(readOnly.write(0, Buffer.from('lost')), hasCode('STORE_READ_ONLY'));
});

test('closing waits for what was started and refuses what comes after', async (t) => {
  const { directory, store } = await newStore(t);
  const writes = Array.from({ length: 64 }, (_, index) => store.write(index * 4096, Buffer.alloc(4096, index + 1)));
  const closed = store.close();
  await assert.rejects(store.write(0, Buffer.alloc(1)), hasCode('STORE_CLOSED'));
  await Promise.all(writes);
  await closed;
  await store.close();
  assert.equal(store.readOnly, true);
  assert.ok(store.stats().write.operations >= 64);

  const again = await VolumeStore.open(directory);
  atEnd(t, () => again.close());
  for (let index = 0; index < 64; index++) {
    assert.deepEqual(await readBack(again, index * 4096, 4096), Buffer.alloc(4096, index + 1));
  }
});

test('statistics count operations, bytes, errors and latencies', async (t) => {
  const { store } = await newStore(t);
  await store.write(0, Buffer.alloc(8192, 1));
  await readBack(store, 0, 8192);
  await store.flush();
  const stats = store.stats();
  assert.equal(stats.sizeBytes, SIZE_BYTES);
  assert.equal(stats.write.operations, 1);
  assert.equal(stats.write.bytes, 8192);
  assert.equal(stats.read.operations, 1);
  assert.equal(stats.flush.operations, 1);
  assert.equal(
    stats.write.latency.reduce((sum, count) => sum + count, 0),
    1,
  );
  await store.checkpoint(); // while one runs, what it merges is not counted
  assert.equal(store.allocatedBytes(), 8192);
  assert.deepEqual(store.damage(), []);
});

test('a wrong argument is a TypeError and does not count as in flight', async (t) => {
  const { store } = await newStore(t);
  await assert.rejects(store.read(-1, Buffer.alloc(1)), TypeError);
  await assert.rejects(store.read(0.5, Buffer.alloc(1)), TypeError);
  await assert.rejects(store.write(0, 'text' as unknown as Uint8Array), TypeError);
  await store.close();
});

// What a child process did with an open store when it ended, each way a process may end.
const endings = {
  'returns with writes in flight': '',
  'calls process.exit() with writes in flight': 'process.exit(0);',
  'throws with writes in flight': "throw new Error('expected');",
  'is killed with writes in flight': "process.kill(process.pid, 'SIGKILL');",
  'forgets the store and collects garbage': 'store = undefined; await Promise.allSettled(writes); globalThis.gc();',
};

const storage = JSON.stringify(new URL('../../src/storage/index.ts', import.meta.url).href);

for (const [ending, code] of Object.entries(endings)) {
  test(`acknowledged writes outlive a process that ${ending}`, async (t) => {
    const { directory, store } = await newStore(t);
    await store.close();
    const script = `
      import { VolumeStore } from ${storage};
      let store = await VolumeStore.open(process.argv[1]);
      await store.write(0, Buffer.from('acknowledged'));
      const writes = Array.from({ length: 32 }, (_, i) => store.write(${MIB} + i * 65536, Buffer.alloc(65536, 1)));
      for (const write of writes) write.catch(() => {});
      ${code}`;
    const child = spawn(process.execPath, ['--expose-gc', '--input-type=module', '-e', script, directory], {
      stdio: 'ignore',
    });
    const [exitCode, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
    assert.ok(exitCode === 0 || exitCode === 1 || signal === 'SIGKILL', `exit code ${exitCode}, signal ${signal}`);
    const again = await VolumeStore.open(directory);
    atEnd(t, () => again.close());
    assert.deepEqual(await readBack(again, 0, 12), Buffer.from('acknowledged'));
  });
}

test('the end of a worker thread closes the store it left open', async (t) => {
  const { directory, store } = await newStore(t);
  await store.close();
  const script = `
    import(${storage}).then(async ({ VolumeStore }) => {
      const store = await VolumeStore.open(require('node:worker_threads').workerData);
      await store.write(0, Buffer.from('from a worker'));
    });`;
  const worker = new Worker(script, { eval: true, workerData: directory });
  const [exitCode] = (await once(worker, 'exit')) as [number];
  assert.equal(exitCode, 0);
  const again = await VolumeStore.open(directory);
  atEnd(t, () => again.close());
  assert.deepEqual(await readBack(again, 0, 13), Buffer.from('from a worker'));
});
