import assert from 'node:assert/strict';
import { mkdir, readdir } from 'node:fs/promises';
import { test } from 'node:test';
import { Catalog, type VolumeRecord } from '../../../src/catalog/index.ts';
import { GalleonError } from '../../../src/errors/index.ts';
import { silentLog } from '../../../src/lib/index.ts';
import { DEFAULT_STORAGE_CLASSES, StoreDirectories, Volumes } from '../../../src/volume/index.ts';
import { FakeEngine } from '../support/fake-engine.ts';
import { TemporaryDirectory } from '../support/temporary-directory.ts';

const MIB = 1024 ** 2;

/** A storage path without a daemon. */
class Place implements AsyncDisposable {
  readonly engine = new FakeEngine();
  readonly directory: TemporaryDirectory;
  catalog!: Catalog;
  volumes!: Volumes;

  private constructor(directory: TemporaryDirectory) {
    this.directory = directory;
  }

  static async make(): Promise<Place> {
    const place = new Place(await TemporaryDirectory.make());
    await place.open();
    return place;
  }

  async open(): Promise<void> {
    this.catalog = await Catalog.open(this.directory.at('catalog'));
    const directories = await StoreDirectories.open(this.directory.at('volumes'));
    this.volumes = new Volumes({ catalog: this.catalog, directories, engine: this.engine, log: silentLog });
    await this.volumes.recover();
  }

  async reopen(): Promise<void> {
    await this.volumes.close();
    await this.catalog.close();
    await this.open();
  }

  async stores(): Promise<string[]> {
    return await readdir(this.directory.at('volumes'));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.volumes.close();
    await this.catalog.close();
    await this.directory[Symbol.asyncDispose]();
  }
}

test('a created volume is open, and is there after a restart', async () => {
  await using place = await Place.make();
  const { record } = await place.volumes.create({ name: 'a', sizeBytes: MIB, labels: { team: 'x' } });
  assert.deepEqual(await place.stores(), [record.id]);
  await place.reopen();
  assert.deepEqual(place.volumes.get('a').record, { ...record, state: 'available' });
  assert.ok(place.volumes.get('a').openStore);
});

test('an existing name is refused', async () => {
  await using place = await Place.make();
  await place.volumes.create({ name: 'a', sizeBytes: MIB });
  await assert.rejects(place.volumes.create({ name: 'a', sizeBytes: 2 * MIB }), { code: 'VOLUME_EXISTS' });
  assert.equal(place.volumes.list().length, 1);
});

test('of two creations of one name at once, one wins', async () => {
  await using place = await Place.make();
  const both = [1, 2].map(async (n) => await place.volumes.create({ name: 'a', sizeBytes: n * MIB }));
  const results = await Promise.allSettled(both);
  assert.deepEqual(results.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
  assert.equal((await place.stores()).length, 1);
});

const REFUSED: [string, object, string][] = [
  ['size 0', { sizeBytes: 0 }, 'VOLUME_SIZE_INVALID'],
  ['a size below 1 MiB', { sizeBytes: MIB - 4096 }, 'VOLUME_SIZE_INVALID'],
  ['a size above 64 TiB', { sizeBytes: 64 * 1024 ** 4 + 4096 }, 'VOLUME_SIZE_INVALID'],
  ['a negative size', { sizeBytes: -4096 }, 'VOLUME_SIZE_INVALID'],
  ['a size that is no number', { sizeBytes: Number.NaN }, 'VOLUME_SIZE_INVALID'],
  [
    'a size that is no multiple of the block size',
    { sizeBytes: MIB + 4096, blockSizeBytes: 8192 },
    'VOLUME_SIZE_UNALIGNED',
  ],
  ['a block size that is no power of two', { blockSizeBytes: 5000 }, 'VOLUME_BLOCK_SIZE_INVALID'],
  ['a block size above 64 KiB', { blockSizeBytes: 131072 }, 'VOLUME_BLOCK_SIZE_INVALID'],
  ['a name with a slash', { name: 'a/b' }, 'VOLUME_NAME_INVALID'],
  ['a name with ..', { name: '..' }, 'VOLUME_NAME_INVALID'],
  ['an unknown class', { storageClass: 'x' }, 'STORAGE_CLASS_NOT_FOUND'],
  ['a label with a space', { labels: { 'a b': '' } }, 'VOLUME_LABEL_INVALID'],
];

for (const [what, change, code] of REFUSED) {
  test(`${what} is refused, and nothing is left`, async () => {
    await using place = await Place.make();
    await assert.rejects(place.volumes.create({ name: 'a', sizeBytes: MIB, ...change }), { code });
    assert.throws(() => place.volumes.check({ name: 'a', sizeBytes: MIB, ...change }), { code });
    assert.deepEqual(place.catalog.volumes(), []);
    assert.deepEqual(await place.stores(), []);
  });
}

test('the limits themselves are possible', async () => {
  await using place = await Place.make();
  await place.volumes.create({ name: 'small', sizeBytes: MIB });
  await place.volumes.create({ name: 'large', sizeBytes: 64 * 1024 ** 4, blockSizeBytes: 65536 });
});

test('classes that need what is not built yet are refused, saying what is missing', async () => {
  await using place = await Place.make();
  for (const storageClass of DEFAULT_STORAGE_CLASSES) await place.catalog.putStorageClass(storageClass);
  const creation = (storageClass: string): Promise<unknown> =>
    place.volumes.create({ name: 'a', sizeBytes: MIB, storageClass });
  await assert.rejects(creation('encrypted-storage'), { code: 'STORAGE_CLASS_UNSUPPORTED', message: /encryption/ });
  await assert.rejects(creation('distributed'), { code: 'STORAGE_CLASS_UNSUPPORTED', message: /replication/ });
  const { record } = await place.volumes.create({ name: 'a', sizeBytes: MIB });
  assert.equal(record.storageClass, 'fast-local-ssd');
});

test('a store that cannot be made leaves nothing behind', async () => {
  await using place = await Place.make();
  place.engine.failCreate = new GalleonError('STORE_NO_SPACE', 'the disk is full');
  await assert.rejects(place.volumes.create({ name: 'a', sizeBytes: MIB }), { code: 'STORE_NO_SPACE' });
  assert.deepEqual(await place.stores(), []);
  assert.deepEqual(place.catalog.volumes(), []);
  place.engine.failCreate = undefined;
  await place.volumes.create({ name: 'a', sizeBytes: MIB });
});

test('a creation that a crash interrupted is undone at the next start', async () => {
  await using place = await Place.make();
  const { record } = await place.volumes.create({ name: 'a', sizeBytes: MIB });
  await place.catalog.putVolume({ ...record, state: 'creating' } satisfies VolumeRecord);
  await place.reopen();
  assert.deepEqual(place.volumes.list(), []);
  assert.deepEqual(await place.stores(), []);
});

test('a deletion that a crash interrupted is finished at the next start', async () => {
  await using place = await Place.make();
  const { record } = await place.volumes.create({ name: 'a', sizeBytes: MIB });
  await place.catalog.putVolume({ ...record, state: 'deleting' } satisfies VolumeRecord);
  await place.reopen();
  assert.throws(() => place.volumes.get('a'), { code: 'VOLUME_NOT_FOUND' });
  assert.deepEqual(await place.stores(), []);
});

test('a directory that no record speaks of is left alone', async () => {
  await using place = await Place.make();
  await mkdir(place.directory.at('volumes', 'stranger'));
  await place.reopen();
  assert.deepEqual(await place.stores(), ['stranger']);
});

test('a volume that cannot be opened is kept with the reason, and the others work', async () => {
  await using place = await Place.make();
  const { record } = await place.volumes.create({ name: 'bad', sizeBytes: MIB });
  await place.volumes.create({ name: 'good', sizeBytes: MIB });
  place.engine.failOpen = (directory) =>
    directory.endsWith(record.id) ? new GalleonError('STORE_SUPERBLOCK_DAMAGED', 'both superblocks') : undefined;
  await place.reopen();
  assert.equal(place.volumes.get('bad').failure?.code, 'STORE_SUPERBLOCK_DAMAGED');
  assert.ok(place.volumes.get('good').openStore);
  assert.equal((await place.stores()).length, 2);
});

test('deleting removes record and store, and the name can be used again', async () => {
  await using place = await Place.make();
  await place.volumes.delete(await place.volumes.create({ name: 'a', sizeBytes: MIB }));
  assert.deepEqual(await place.stores(), []);
  assert.equal(place.engine.openStores.size, 0);
  await place.volumes.create({ name: 'a', sizeBytes: MIB });
});

test('an unknown volume is not found', async () => {
  await using place = await Place.make();
  assert.throws(() => place.volumes.get('a'), { code: 'VOLUME_NOT_FOUND', message: /"a"/ });
});
