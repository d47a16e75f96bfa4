import assert from 'node:assert/strict';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import { loadConfiguration } from '../../../src/config/index.ts';
import { openDaemon, type Daemon } from '../../../src/daemon/index.ts';
import { GalleonError } from '../../../src/errors/index.ts';
import { silentLog } from '../../../src/lib/index.ts';
import { FakeDescriptorStore } from '../support/fake-descriptor-store.ts';
import { FakeDriver } from '../support/fake-driver.ts';
import { FakeEngine } from '../support/fake-engine.ts';
import { TemporaryDirectory } from '../support/temporary-directory.ts';

const MIB = 1024 ** 2;

/** A daemon over fakes, with what it is made of. */
class Fixture implements AsyncDisposable {
  readonly engine = new FakeEngine();
  readonly driver = new FakeDriver();
  descriptors = new FakeDescriptorStore();
  readonly directory: TemporaryDirectory;
  daemon!: Daemon;

  private constructor(directory: TemporaryDirectory) {
    this.directory = directory;
  }

  static async make(): Promise<Fixture> {
    const fixture = new Fixture(await TemporaryDirectory.make());
    await fixture.start();
    return fixture;
  }

  async start(): Promise<void> {
    const flags = { storagePath: this.directory.at('store'), mountPoint: this.directory.at('mounts') };
    this.daemon = await openDaemon(loadConfiguration({ flags }), silentLog, {
      engine: this.engine,
      driver: this.driver,
      descriptors: this.descriptors,
    });
    await this.daemon.start();
  }

  /** Hands over, and starts a daemon that inherits what `keys` says of the mounts' keys. */
  async handOver(inherit: (key: string) => readonly number[] | undefined): Promise<void> {
    const keys = [...this.driver.mounted.values()].map(({ key }) => key);
    await this.daemon.handOver(() => Promise.resolve());
    this.driver.mounted.clear();
    this.descriptors = new FakeDescriptorStore();
    for (const key of keys) {
      const inherited = inherit(key);
      if (inherited !== undefined) this.descriptors.inherited.set(key, inherited);
    }
    await this.start();
  }

  async restart(): Promise<void> {
    await this.daemon.stop();
    await this.start();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.driver.busy = undefined;
    await this.daemon.stop();
    await this.directory[Symbol.asyncDispose]();
  }
}

test('a created volume is mounted below the mount point, and again after a restart', async () => {
  await using fixture = await Fixture.make();
  const created = await fixture.daemon.createVolume({ name: 'a', sizeBytes: MIB });
  const path = fixture.directory.at('mounts', 'a');
  assert.equal(created.state, 'mounted');
  assert.equal(created.mount?.dataPath, `${path}/data`);
  await fixture.daemon.stop();
  assert.deepEqual([...fixture.driver.mounted.keys()], []);
  assert.deepEqual(await readdir(fixture.directory.at('mounts')), []);
  await fixture.start();
  assert.deepEqual([...fixture.driver.mounted.keys()], [path]);
});

test('README.txt and .galleonfs_metadata describe the volume', async () => {
  await using fixture = await Fixture.make();
  const { id } = await fixture.daemon.createVolume({ name: 'a', sizeBytes: MIB });
  const files = fixture.driver.mounted.get(fixture.directory.at('mounts', 'a'))?.files ?? [];
  assert.deepEqual(
    files.map(({ name }) => name),
    ['README.txt', '.galleonfs_metadata'],
  );
  const metadata = JSON.parse(Buffer.from(files[1]!.content).toString()) as Record<string, unknown>;
  assert.equal(metadata['id'], id);
  assert.equal(metadata['sizeBytes'], MIB);
  assert.match(Buffer.from(files[0]!.content).toString(), /volume "a"/);
});

test('a volume created without a mount is not mounted at a start either', async () => {
  await using fixture = await Fixture.make();
  const created = await fixture.daemon.createVolume({ name: 'a', sizeBytes: MIB, mount: null });
  assert.equal(created.state, 'unmounted');
  await fixture.restart();
  assert.equal(fixture.driver.mounted.size, 0);
});

test('a mount that fails takes the new volume back', async () => {
  await using fixture = await Fixture.make();
  fixture.driver.failMount = () => new GalleonError('FUSE_DEVICE_MISSING', 'there is no /dev/fuse');
  await assert.rejects(fixture.daemon.createVolume({ name: 'a', sizeBytes: MIB }), { code: 'FUSE_DEVICE_MISSING' });
  assert.deepEqual(fixture.daemon.listVolumes(), []);
  assert.deepEqual(await readdir(fixture.directory.at('store', 'volumes')), []);
  assert.deepEqual(await readdir(fixture.directory.at('mounts')), []);
});

test('a mount point that is in the way makes no volume', async () => {
  await using fixture = await Fixture.make();
  await mkdir(fixture.directory.at('mounts', 'a'), { recursive: true });
  await writeFile(fixture.directory.at('mounts', 'a', 'file'), '');
  await assert.rejects(fixture.daemon.createVolume({ name: 'a', sizeBytes: MIB }), { code: 'MOUNT_POINT_NOT_EMPTY' });
  assert.deepEqual(fixture.daemon.listVolumes(), []);
});

test('one volume that cannot be mounted at start does not stop the others', async () => {
  await using fixture = await Fixture.make();
  await fixture.daemon.createVolume({ name: 'bad', sizeBytes: MIB });
  await fixture.daemon.createVolume({ name: 'good', sizeBytes: MIB });
  fixture.driver.failMount = ({ mountPoint }) =>
    mountPoint.endsWith('bad') ? new GalleonError('FUSE_MOUNT_FAILED', 'no luck') : undefined;
  await fixture.restart();
  const [bad, good] = fixture.daemon.listVolumes();
  assert.equal(bad?.state, 'failed');
  assert.deepEqual(bad.reason, { code: 'FUSE_MOUNT_FAILED', message: 'no luck' });
  assert.equal(good?.state, 'mounted');
  fixture.driver.failMount = () => undefined;
  assert.equal((await fixture.daemon.mountVolume('bad', {})).reason, null);
});

test('a volume whose store cannot be opened is failed, and can be deleted', async () => {
  await using fixture = await Fixture.make();
  await fixture.daemon.createVolume({ name: 'a', sizeBytes: MIB });
  fixture.engine.failOpen = () => new GalleonError('STORE_SUPERBLOCK_DAMAGED', 'both');
  await fixture.restart();
  assert.equal(fixture.daemon.showVolume('a').state, 'failed');
  await assert.rejects(fixture.daemon.mountVolume('a', {}), { code: 'STORE_SUPERBLOCK_DAMAGED' });
  await fixture.daemon.deleteVolume('a', { force: false });
  assert.deepEqual(fixture.daemon.listVolumes(), []);
});

test('path and preferences of a mount are used again at the next start', async () => {
  await using fixture = await Fixture.make();
  await fixture.daemon.createVolume({ name: 'a', sizeBytes: MIB });
  await fixture.daemon.unmountVolume('a', { lazy: false });
  const path = fixture.directory.at('elsewhere');
  await fixture.daemon.mountVolume('a', { path, preferences: { readOnly: true, mode: 0o640 } });
  await fixture.restart();
  const options = fixture.driver.mounted.get(path);
  assert.equal(options?.readOnly, true);
  assert.equal(options.dataMode, 0o640);
});

test('a volume that somebody else unmounted can be mounted again', async () => {
  await using fixture = await Fixture.make();
  await fixture.daemon.createVolume({ name: 'a', sizeBytes: MIB });
  // The fake mounts nothing, so to the daemon this looks as if umount(8) had been there.
  await fixture.daemon.mountVolume('a', { path: fixture.directory.at('b') });
  assert.deepEqual([...fixture.driver.mounted.keys()], [fixture.directory.at('b')]);
});

test('a busy volume is neither unmounted nor deleted unless forced', async () => {
  await using fixture = await Fixture.make();
  await fixture.daemon.createVolume({ name: 'a', sizeBytes: MIB });
  fixture.driver.busy = new GalleonError('FUSE_BUSY', 'open files');
  await assert.rejects(fixture.daemon.deleteVolume('a', { force: false }), { code: 'VOLUME_MOUNTED' });
  assert.equal(fixture.daemon.showVolume('a').state, 'mounted');
  await fixture.daemon.deleteVolume('a', { force: true });
  assert.deepEqual(fixture.daemon.listVolumes(), []);
});

test('a stop that is hurried unmounts lazily what is busy', async () => {
  await using fixture = await Fixture.make();
  await fixture.daemon.createVolume({ name: 'a', sizeBytes: MIB });
  fixture.driver.busy = new GalleonError('FUSE_BUSY', 'open files');
  const stopping = fixture.daemon.stop();
  fixture.daemon.hurry();
  await stopping;
  assert.equal(fixture.driver.mounted.size, 0);
});

test('a daemon that stops refuses new work', async () => {
  await using fixture = await Fixture.make();
  const stopping = fixture.daemon.stop();
  await assert.rejects(fixture.daemon.createVolume({ name: 'a', sizeBytes: MIB }), { code: 'DAEMON_STOPPING' });
  await stopping;
});

test('a storage path that is in use is refused', async () => {
  await using fixture = await Fixture.make();
  const flags = { storagePath: fixture.directory.at('store'), mountPoint: fixture.directory.at('other') };
  const second = openDaemon(loadConfiguration({ flags }), silentLog, {
    engine: fixture.engine,
    driver: fixture.driver,
  });
  await assert.rejects(second, { code: 'STORAGE_PATH_LOCKED' });
});

test('a storage path that is a file, or too long for a socket, is refused', async () => {
  await using directory = await TemporaryDirectory.make();
  await writeFile(directory.at('file'), '');
  for (const storagePath of [directory.at('file'), directory.at('x'.repeat(100))]) {
    const configuration = loadConfiguration({ flags: { storagePath, mountPoint: directory.at('m') } });
    await assert.rejects(openDaemon(configuration, silentLog, { engine: new FakeEngine() }), {
      code: 'STORAGE_PATH_INVALID',
    });
  }
});

test('a daemon that takes over goes on with the mounts it inherits, as they were made', async () => {
  await using fixture = await Fixture.make();
  const path = fixture.directory.at('elsewhere');
  await fixture.daemon.createVolume({ name: 'a', sizeBytes: MIB, mount: { path, preferences: { sync: true } } });
  const before = fixture.daemon.showVolume('a').mount;
  await fixture.handOver(() => [7, 8]);
  const inherited = fixture.driver.resumed.get(path);
  assert.deepEqual(inherited?.descriptors, [7, 8]);
  assert.match(inherited.resumption.negotiated, /^negotiated [0-9a-f]{16}$/);
  assert.equal(fixture.driver.mounted.get(path)?.sync, true);
  assert.equal(fixture.daemon.showVolume('a').mount?.since, before?.since);
  assert.equal(fixture.descriptors.settled, true);
  assert.deepEqual(fixture.descriptors.dropped, []);
  assert.ok(fixture.descriptors.said.includes('READY=1'));
});

test('a volume mounted by hand alone is served on as well', async () => {
  await using fixture = await Fixture.make();
  await fixture.daemon.createVolume({ name: 'a', sizeBytes: MIB, mount: null });
  await fixture.daemon.mountVolume('a', {});
  await fixture.handOver(() => [7]);
  assert.equal(fixture.daemon.showVolume('a').state, 'mounted');
});

test('a mount whose descriptors are lost is made anew', async () => {
  await using fixture = await Fixture.make();
  await fixture.daemon.createVolume({ name: 'a', sizeBytes: MIB });
  await fixture.handOver(() => undefined);
  assert.equal(fixture.driver.resumed.size, 0);
  assert.equal(fixture.daemon.showVolume('a').state, 'mounted');
});

test('a mount that cannot be resumed is dropped and made anew', async () => {
  await using fixture = await Fixture.make();
  await fixture.daemon.createVolume({ name: 'a', sizeBytes: MIB });
  let failures = 1;
  fixture.driver.failMount = () => (failures-- > 0 ? new GalleonError('FUSE_RESOURCES', 'no threads') : undefined);
  await fixture.handOver(() => [7]);
  assert.equal(fixture.descriptors.dropped.length, 1);
  assert.equal(fixture.daemon.showVolume('a').state, 'mounted');
});

test('an inherited mount of a volume that cannot be opened fails, and so does only that', async () => {
  await using fixture = await Fixture.make();
  await fixture.daemon.createVolume({ name: 'a', sizeBytes: MIB });
  await fixture.daemon.createVolume({ name: 'b', sizeBytes: MIB });
  const { id } = fixture.daemon.showVolume('a');
  fixture.engine.failOpen = (directory) =>
    directory.endsWith(id) ? new GalleonError('STORE_DAMAGED', 'rot') : undefined;
  await fixture.handOver(() => [7]);
  assert.equal(fixture.descriptors.dropped.length, 1);
  assert.equal(fixture.daemon.showVolume('a').state, 'failed');
  assert.equal(fixture.daemon.showVolume('b').state, 'mounted');
});

test('what nobody knows in the descriptor store is dropped', async () => {
  await using fixture = await Fixture.make();
  await fixture.daemon.stop();
  fixture.descriptors = new FakeDescriptorStore();
  fixture.descriptors.inherited.set('00000000000000ff', [9]);
  await fixture.start();
  assert.deepEqual(fixture.descriptors.dropped, ['00000000000000ff']);
});

test('a restart is refused where mounts would end with the daemon', async () => {
  await using fixture = await Fixture.make();
  fixture.descriptors.kind = 'none';
  assert.throws(() => {
    fixture.daemon.askToRestart();
  }, /RESTART_UNSUPPORTED|cannot be restarted/);
  fixture.descriptors.kind = 'systemd';
  fixture.daemon.askToRestart();
  assert.equal(await fixture.daemon.endAsked, 'restart');
});
