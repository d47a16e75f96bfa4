import assert from 'node:assert/strict';
import { constants as fs } from 'node:fs';
import { constants as os } from 'node:os';
import { describe, test } from 'node:test';
import type { MountOptions } from '../../../src/mount/mount-driver.ts';
import { PortableDirectory, Refusal } from '../../../src/mount/portable-directory.ts';
import type { VolumeStore } from '../../../src/storage/index.ts';

const SIZE = 1_048_576;
const { EACCES, EBADF, EINVAL, ENOENT, ENOSPC, EPERM, EROFS } = os.errno;

const mountedWith: MountOptions = {
  key: '0123456789abcdef',
  mountPoint: '/mnt/test',
  source: 'galleonfs:test',
  readOnly: false,
  sync: false,
  allowOther: false,
  uid: 1000,
  gid: 1001,
  dataMode: 0o640,
  directoryMode: 0o755,
  truncate: 'discard',
  files: [{ name: 'README.txt', content: Buffer.from('read me') }],
};

/** A volume in memory that notes what it is asked for. */
function directoryWith(options: Partial<MountOptions> = {}): {
  directory: PortableDirectory;
  calls: string[];
  bytes: Buffer;
} {
  const bytes = Buffer.alloc(SIZE);
  const calls: string[] = [];
  const volume = {
    sizeBytes: SIZE,
    blockSizeBytes: 4096,
    readOnly: false,
    allocatedBytes: () => 8192,
    read: (offset: number, into: Uint8Array) => Promise.resolve(void bytes.copy(into, 0, offset, offset + into.length)),
    write: (offset: number, from: Uint8Array, { durable }: { durable: boolean }) => {
      calls.push(`write ${offset} ${from.length}${durable ? ' durable' : ''}`);
      bytes.set(from, offset);
      return Promise.resolve();
    },
    flush: () => Promise.resolve(void calls.push('flush')),
    discard: (offset: number, length: number) => Promise.resolve(void calls.push(`discard ${offset} ${length}`)),
  };
  const directory = new PortableDirectory(volume as unknown as VolumeStore, { ...mountedWith, ...options });
  return { directory, calls, bytes };
}

const refusedWith =
  (errno: number) =>
  (error: unknown): boolean =>
    error instanceof Refusal && error.errno === errno;

describe('the portable directory', () => {
  test('lists data and the small files', () => {
    assert.deepEqual(directoryWith().directory.list(), ['.', '..', 'data', 'README.txt']);
  });

  test('gives data the size, mode and owner of the mount', () => {
    const { size, mode, uid, gid, blocks } = directoryWith().directory.attributes('/data');
    assert.deepEqual(
      { size, mode, uid, gid, blocks },
      { size: SIZE, mode: 0o100640, uid: 1000, gid: 1001, blocks: 16 },
    );
  });

  test('shows small files read-only', () => {
    const { mode, size } = directoryWith().directory.attributes('/README.txt');
    assert.deepEqual({ mode, size }, { mode: 0o100440, size: 7 });
  });

  test('knows no other name', () => {
    assert.throws(() => directoryWith().directory.attributes('/other'), refusedWith(ENOENT));
  });

  test('shows 64 KiB blocks in statfs, so that 64 TiB fit in 32 bits', () => {
    const { frsize, blocks, bfree } = directoryWith().directory.space();
    assert.deepEqual({ frsize, blocks, bfree }, { frsize: 65_536, blocks: 16, bfree: 15 });
  });

  test('reads no further than the end', async () => {
    const { directory, bytes } = directoryWith();
    bytes.write('end', SIZE - 3);
    const into = Buffer.alloc(100);
    assert.equal(await directory.read(directory.open('/data', fs.O_RDONLY), into, SIZE - 3), 3);
    assert.equal(into.toString('latin1', 0, 3), 'end');
  });

  test('reads nothing beyond the end', async () => {
    const { directory } = directoryWith();
    assert.equal(await directory.read(directory.open('/data', fs.O_RDONLY), Buffer.alloc(1), SIZE + 5), 0);
  });

  test('writes no further than the end', async () => {
    const { directory, calls } = directoryWith();
    assert.equal(await directory.write(directory.open('/data', fs.O_RDWR), Buffer.alloc(10), SIZE - 4), 4);
    assert.deepEqual(calls, [`write ${SIZE - 4} 4`]);
  });

  test('answers ENOSPC to a write at the end', async () => {
    const { directory } = directoryWith();
    await assert.rejects(
      directory.write(directory.open('/data', fs.O_RDWR), Buffer.alloc(1), SIZE),
      refusedWith(ENOSPC),
    );
  });

  for (const [name, flag] of [
    ['O_SYNC', fs.O_SYNC],
    ['O_DSYNC', fs.O_DSYNC],
  ] as const) {
    test(`makes each write through an ${name} descriptor durable`, async () => {
      const { directory, calls } = directoryWith();
      await directory.write(directory.open('/data', fs.O_RDWR | flag), Buffer.alloc(8), 0);
      assert.deepEqual(calls, ['write 0 8 durable']);
    });
  }

  test('makes every write durable when mounted with sync', async () => {
    const { directory, calls } = directoryWith({ sync: true });
    await directory.write(directory.open('/data', fs.O_RDWR), Buffer.alloc(8), 0);
    assert.deepEqual(calls, ['write 0 8 durable']);
  });

  test('discards from n on when data is truncated to n', async () => {
    const { directory, calls } = directoryWith();
    await directory.truncate('/data', 1000);
    assert.deepEqual(calls, [`discard 1000 ${SIZE - 1000}`]);
  });

  test('flushes a truncate when mounted with sync', async () => {
    const { directory, calls } = directoryWith({ sync: true });
    await directory.truncate('/data', 0);
    assert.deepEqual(calls, [`discard 0 ${SIZE}`, 'flush']);
  });

  test('does nothing for a truncate to the size', async () => {
    const { directory, calls } = directoryWith();
    await directory.truncate('/data', SIZE);
    assert.deepEqual(calls, []);
  });

  test('answers EINVAL to a truncate beyond the size', async () => {
    await assert.rejects(directoryWith().directory.truncate('/data', SIZE + 1), refusedWith(EINVAL));
  });

  test('ignores truncates with truncate=ignore', async () => {
    const { directory, calls } = directoryWith({ truncate: 'ignore' });
    await directory.truncate('/data', 0);
    assert.deepEqual(calls, []);
  });

  test('refuses truncates with truncate=refuse', async () => {
    await assert.rejects(directoryWith({ truncate: 'refuse' }).directory.truncate('/data', 0), refusedWith(EPERM));
  });

  test('refuses to open data for writing when read-only', () => {
    assert.throws(() => directoryWith({ readOnly: true }).directory.open('/data', fs.O_WRONLY), refusedWith(EROFS));
  });

  test('refuses to open a small file for writing', () => {
    assert.throws(() => directoryWith().directory.open('/README.txt', fs.O_RDWR), refusedWith(EACCES));
  });

  test('refuses handles that were released', async () => {
    const { directory } = directoryWith();
    const handle = directory.open('/data', fs.O_RDONLY);
    directory.release(handle);
    await assert.rejects(directory.read(handle, Buffer.alloc(1), 0), refusedWith(EBADF));
  });

  test('counts open files', () => {
    const { directory } = directoryWith();
    const handle = directory.open('/data', fs.O_RDONLY);
    assert.equal(directory.openFiles, 1);
    directory.release(handle);
    assert.equal(directory.openFiles, 0);
  });

  test('keeps what a small file held when it was opened', async () => {
    const { directory } = directoryWith();
    const handle = directory.open('/README.txt', fs.O_RDONLY);
    directory.setFiles([{ name: 'README.txt', content: Buffer.from('something else') }]);
    const into = Buffer.alloc(100);
    const length = await directory.read(handle, into, 0);
    assert.equal(into.toString('latin1', 0, length), 'read me');
    assert.equal(directory.attributes('/README.txt').size, 14);
  });

  test('accepts the mode and owner that are, and no others', () => {
    const { directory } = directoryWith();
    directory.setMode('/data', 0o640);
    directory.setOwner('/data', 1000, 0xffff_ffff);
    assert.throws(() => directory.setMode('/data', 0o600), refusedWith(EPERM));
    assert.throws(() => directory.setOwner('/data', 0, 0xffff_ffff), refusedWith(EPERM));
  });

  test('remembers the times that were set', () => {
    const { directory } = directoryWith();
    directory.setTimes('/data', new Date(1000), new Date(2000));
    const { atime, mtime } = directory.attributes('/data');
    assert.deepEqual([atime, mtime], [new Date(1000), new Date(2000)]);
  });

  test('never changes its entries', () => {
    assert.throws(() => directoryWith().directory.changeEntries(), refusedWith(EPERM));
  });
});
