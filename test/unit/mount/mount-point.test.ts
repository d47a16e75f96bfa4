import assert from 'node:assert/strict';
import { mkdir, readdir, symlink, writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import { silentLog } from '../../../src/lib/index.ts';
import { prepareMountPoint, releaseMountPoint } from '../../../src/mount/mount-point.ts';
import { TemporaryDirectory } from '../support/temporary-directory.ts';

test('a missing directory is made with its parents, and removed afterwards', async () => {
  await using directory = await TemporaryDirectory.make();
  const point = await prepareMountPoint(directory.at('a', 'b'), silentLog);
  assert.deepEqual(await readdir(directory.at('a')), ['b']);
  await releaseMountPoint(point);
  assert.deepEqual(await readdir(directory.at('a')), []);
});

test('an empty directory is used and stays', async () => {
  await using directory = await TemporaryDirectory.make();
  await mkdir(directory.at('a'));
  await releaseMountPoint(await prepareMountPoint(directory.at('a'), silentLog));
  assert.deepEqual(await readdir(directory.path), ['a']);
});

test('a directory somebody has put a file into is not removed', async () => {
  await using directory = await TemporaryDirectory.make();
  const point = await prepareMountPoint(directory.at('a'), silentLog);
  await writeFile(directory.at('a', 'file'), '');
  await releaseMountPoint(point);
  assert.deepEqual(await readdir(directory.at('a')), ['file']);
});

test('a file is refused', async () => {
  await using directory = await TemporaryDirectory.make();
  await writeFile(directory.at('file'), '');
  await assert.rejects(prepareMountPoint(directory.at('file'), silentLog), { code: 'MOUNT_POINT_NOT_DIRECTORY' });
});

test('a path through a file is refused', async () => {
  await using directory = await TemporaryDirectory.make();
  await writeFile(directory.at('file'), '');
  await assert.rejects(prepareMountPoint(directory.at('file', 'a'), silentLog), { code: 'MOUNT_POINT_NOT_DIRECTORY' });
});

test('a directory that is not empty is refused, naming what is in it', async () => {
  await using directory = await TemporaryDirectory.make();
  await writeFile(directory.at('precious'), '');
  await assert.rejects(prepareMountPoint(directory.path, silentLog), {
    code: 'MOUNT_POINT_NOT_EMPTY',
    message: /"precious"/,
  });
});

test('a path something else is mounted on is refused, naming it', async () => {
  await assert.rejects(prepareMountPoint('/proc', silentLog), { code: 'MOUNT_POINT_BUSY', message: /proc from proc/ });
});

test('links on the way are resolved, as the mount table shows paths', async () => {
  await using directory = await TemporaryDirectory.make();
  await mkdir(directory.at('real'));
  await symlink(directory.at('real'), directory.at('link'));
  const point = await prepareMountPoint(directory.at('link', 'a'), silentLog);
  assert.equal(point.path, directory.at('real', 'a'));
});
