import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { Level } from 'level';
import {
  Catalog,
  newVolumeId,
  parseVolumeName,
  DEFAULT_MOUNT_PREFERENCES,
  type VolumeRecord,
} from '../../../src/catalog/index.ts';
import { byteCount } from '../../../src/lib/index.ts';
import { TemporaryDirectory } from '../support/temporary-directory.ts';

function record(name: string): VolumeRecord {
  return {
    id: newVolumeId(),
    name: parseVolumeName(name),
    sizeBytes: byteCount(1024 ** 2),
    blockSizeBytes: byteCount(4096),
    storageClass: 'standard',
    labels: {},
    createdAt: '2026-01-01T00:00:00.000Z',
    state: 'available',
    mount: { atStart: true, preferences: DEFAULT_MOUNT_PREFERENCES },
  };
}

test('what was put is there after closing and opening', async () => {
  await using directory = await TemporaryDirectory.make();
  const before = await Catalog.open(directory.path);
  const [b, a] = [record('b'), record('a')];
  await before.putVolume(b);
  await before.putVolume(a);
  await before.putVolume(record('gone'));
  await before.removeVolume(parseVolumeName('gone'));
  await before.close();
  const after = await Catalog.open(directory.path);
  assert.deepEqual(after.volumes(), [a, b]);
  await after.close();
});

test('a catalog that is open elsewhere is locked, and the message names who holds it', async () => {
  await using directory = await TemporaryDirectory.make();
  const holder = await Catalog.open(directory.path);
  const script = `
    import { Catalog } from ${JSON.stringify(new URL('../../../src/catalog/index.ts', import.meta.url).href)};
    try { await Catalog.open(process.argv[1]); } catch (error) { console.log(error.code, error.message); }`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script, directory.path]);
  await holder.close();
  assert.match(stdout, new RegExp(`^STORAGE_PATH_LOCKED .*process ${process.pid}`));
});

test('a catalog of a newer format is refused', async () => {
  await using directory = await TemporaryDirectory.make();
  const database = new Level(directory.path);
  await database.put('meta!format', '2');
  await database.close();
  await assert.rejects(Catalog.open(directory.path), { code: 'CATALOG_TOO_NEW' });
});

test('an entry that is no JSON is damage, and the lock is given back', async () => {
  await using directory = await TemporaryDirectory.make();
  const database = new Level(directory.path);
  await database.put('volume!x', '{');
  await database.close();
  await assert.rejects(Catalog.open(directory.path), { code: 'CATALOG_DAMAGED' });
  await assert.rejects(Catalog.open(directory.path), { code: 'CATALOG_DAMAGED' });
});
