// The life cycle of a native mount as TypeScript holds it: who may end what, and in which order.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import { Worker } from 'node:worker_threads';
import { NativeMount, VolumeStore, type NativeMountOptions } from '../../src/storage/index.ts';

const SIZE_BYTES = 16 * 1024 * 1024;
const run = promisify(execFile);

interface Mounted {
  readonly store: VolumeStore;
  readonly mount: NativeMount;
  readonly mountPoint: string;
  /** Resolves when the addon says that somebody else unmounted it. */
  readonly lost: Promise<undefined>;
}

function mountOptions(mountPoint: string): NativeMountOptions {
  return {
    key: '',
    mountPoint,
    readOnly: false,
    sync: false,
    allowOther: false,
    uid: process.getuid?.() ?? 0,
    gid: process.getgid?.() ?? 0,
    fileMode: 0o600,
    directoryMode: 0o755,
    truncate: 'discard',
    cacheMode: 'direct',
    readme: 'as mounted\n',
    metadata: '{}\n',
  };
}

async function directories(): Promise<{ root: string; directory: string; mountPoint: string }> {
  const root = await mkdtemp(join(tmpdir(), 'galleonfs-test-'));
  const directory = join(root, 'store');
  const mountPoint = join(root, 'mount');
  await mkdir(directory);
  await mkdir(mountPoint);
  return { root, directory, mountPoint };
}

async function mounted(t: TestContext): Promise<Mounted> {
  const { root, directory, mountPoint } = await directories();
  await VolumeStore.create(directory, { volumeId: new Uint8Array(16), sizeBytes: SIZE_BYTES });
  const store = await VolumeStore.open(directory);
  const { promise: lost, resolve } = Promise.withResolvers<undefined>();
  const mount = await NativeMount.start(store, mountOptions(mountPoint), () => resolve(undefined));
  t.after(async () => {
    await mount.stop({ lazy: true });
    await store.close();
    await rm(root, { recursive: true });
  });
  return { store, mount, mountPoint, lost };
}

async function isMounted(mountPoint: string): Promise<boolean> {
  return (await readFile('/proc/self/mountinfo', 'utf8')).includes(` ${mountPoint} `);
}

// This process never opens what it serves: others do.
async function cat(path: string): Promise<string> {
  return (await run('cat', [path])).stdout;
}

const hasCode = (code: string) => (error: unknown) => error instanceof Error && 'code' in error && error.code === code;

test('a mounted store is not closed, and stays usable', async (t) => {
  const { store, mount, mountPoint } = await mounted(t);
  await assert.rejects(store.close(), hasCode('STORE_MOUNTED'));
  await store.write(0, Buffer.from('still open'));
  const { stdout } = await run('head', ['-c', '10', join(mountPoint, 'data')]);
  assert.equal(stdout, 'still open');
  await mount.stop({ lazy: false });
  assert.equal(await isMounted(mountPoint), false);
  await store.close();
});

test('the small files can be replaced, and requests are counted', async (t) => {
  const { mount, mountPoint } = await mounted(t);
  assert.equal(await cat(join(mountPoint, 'README.txt')), 'as mounted\n');
  mount.setFiles('replaced\n', '{}\n');
  assert.equal(await cat(join(mountPoint, 'README.txt')), 'replaced\n');
  assert.ok(mount.stats().read.requests > 0);
});

test('stopping is refused while a file is open, unless lazily; the open file outlives the close of the store', async (t) => {
  const { store, mount, mountPoint } = await mounted(t);
  const holder = spawn('sh', ['-c', 'exec 3<data; echo open; read line; head -c 1 <&3 >/dev/null'], {
    cwd: mountPoint,
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  await once(holder.stdout, 'data');
  await assert.rejects(mount.stop({ lazy: false }), hasCode('FUSE_BUSY'));
  assert.equal(await isMounted(mountPoint), true);
  await mount.stop({ lazy: true });
  assert.equal(await isMounted(mountPoint), false);
  await store.close();
  holder.stdin.end('\n');
  const [exitCode] = (await once(holder, 'exit')) as [number | null];
  assert.equal(exitCode, 1, 'reading a closed volume fails, and does not hang');
});

test('an unmount from outside is told, and stopping after it does nothing', async (t) => {
  const { store, mount, mountPoint, lost } = await mounted(t);
  await run(
    process.getuid?.() === 0 ? 'umount' : 'fusermount3',
    process.getuid?.() === 0 ? [mountPoint] : ['-u', mountPoint],
  );
  await lost;
  await mount.stop({ lazy: false });
  await store.close();
});

test('a mount point that cannot be is refused with its own code, and the store is free again', async (t) => {
  const { store, mountPoint, mount } = await mounted(t);
  await assert.rejects(
    NativeMount.start(store, mountOptions(`${mountPoint}-missing`), () => undefined),
    hasCode('FUSE_MOUNT_POINT'),
  );
  await assert.rejects(
    NativeMount.start(store, mountOptions(mountPoint), () => undefined),
    hasCode('FUSE_ALREADY_MOUNTED'),
  );
  await mount.stop({ lazy: false });
  await store.close();
});

test('the end of a worker thread unmounts what it left mounted', async (t) => {
  const { root, directory, mountPoint } = await directories();
  t.after(() => rm(root, { recursive: true }));
  const storage = JSON.stringify(new URL('../../src/storage/index.ts', import.meta.url).href);
  const script = `
    const { parentPort, workerData } = require('node:worker_threads');
    import(${storage}).then(async ({ NativeMount, VolumeStore }) => {
      await VolumeStore.create(workerData.directory, { volumeId: new Uint8Array(16), sizeBytes: ${SIZE_BYTES} });
      const store = await VolumeStore.open(workerData.directory);
      await NativeMount.start(store, workerData.options, () => undefined);
      parentPort.postMessage('mounted');
    });`;
  const worker = new Worker(script, { eval: true, workerData: { directory, options: mountOptions(mountPoint) } });
  await once(worker, 'message');
  assert.equal(await isMounted(mountPoint), true);
  await worker.terminate();
  assert.equal(await isMounted(mountPoint), false);
  const again = await VolumeStore.open(directory);
  await again.close();
});
