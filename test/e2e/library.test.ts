/** `import { GalleonFS } from 'galleonfs'`, on the real store. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import { GalleonFS } from '../../src/index.ts';
import { GalleonfsDaemon } from './support/galleonfs-daemon.ts';
import { Scratch } from './support/scratch.ts';
import { bash } from './support/shell.ts';

const MIB = 1024 ** 2;

describe('the library', { timeout: 60_000 }, () => {
  test('a block comes back as it was written, also after closing and opening', async () => {
    await using scratch = await Scratch.make();
    const block = randomBytes(4096);
    {
      await using galleon = new GalleonFS({ storagePath: scratch.at('s') });
      await galleon.createVolume('a', MIB);
      await galleon.writeBlock('a', 7, block, { durable: true });
      assert.deepEqual(await galleon.readBlock('a', 7), block);
    }
    await using again = new GalleonFS({ storagePath: scratch.at('s') });
    assert.deepEqual(await again.readBlock('a', 7), block);
    assert.deepEqual(await again.readBlock('a', 8), Buffer.alloc(4096));
    assert.equal((await again.openVolume('a')).liveBytes, 4096);
  });

  test('blocks beyond the end, negative, fractional or of the wrong length are refused', async () => {
    await using scratch = await Scratch.make();
    await using galleon = new GalleonFS({ storagePath: scratch.at('s') });
    await galleon.createVolume('a', MIB);
    for (const block of [256, -1, 0.5, Number.NaN]) {
      await assert.rejects(galleon.readBlock('a', block), { code: 'STORE_INVALID_RANGE' }, String(block));
    }
    await assert.rejects(galleon.writeBlock('a', 0, new Uint8Array(512)), { code: 'STORE_INVALID_RANGE' });
  });

  test('a volume file reads and writes at its position, across blocks and up to the end', async () => {
    await using scratch = await Scratch.make();
    await using galleon = new GalleonFS({ storagePath: scratch.at('s') });
    await galleon.createVolume('a', MIB);
    const file = await galleon.openVolumeFile('a');
    const data = randomBytes(10_000);
    file.seek(3000);
    await file.write(data);
    assert.equal(file.positionBytes, 13_000);
    file.seek(-10_000, 'current');
    assert.deepEqual(await file.read(10_000), data);
    file.seek(-4, 'end');
    assert.equal((await file.read(100)).length, 4);
    assert.equal((await file.read(100)).length, 0);
    await assert.rejects(file.write(Buffer.of(1)), { code: 'STORE_INVALID_RANGE' });
    assert.throws(() => file.seek(-1), { code: 'STORE_INVALID_RANGE' });
    assert.throws(() => file.seek(1, 'end'), { code: 'STORE_INVALID_RANGE' });
    await file.flush();
    await file.close();
    await assert.rejects(file.read(1), { code: 'STORE_CLOSED' });
  });

  test('calls that overlap open a volume once', async () => {
    await using scratch = await Scratch.make();
    await using galleon = new GalleonFS({ storagePath: scratch.at('s') });
    await galleon.createVolume('a', MIB);
    await galleon.close();
    await using again = new GalleonFS({ storagePath: scratch.at('s') });
    const blocks = await Promise.all(Array.from({ length: 32 }, async (_, block) => await again.readBlock('a', block)));
    assert.ok(blocks.every((block) => block.length === 4096));
  });

  test('volumes are listed and deleted', async () => {
    await using scratch = await Scratch.make();
    await using galleon = new GalleonFS({ storagePath: scratch.at('s') });
    await galleon.createVolume('b', MIB, { labels: { team: 'x' } });
    await galleon.createVolume('a', MIB, { blockSizeBytes: 65536 });
    assert.deepEqual(
      (await galleon.listVolumes()).map(({ name }) => name),
      ['a', 'b'],
    );
    await galleon.deleteVolume('b');
    await assert.rejects(galleon.readBlock('b', 0), { code: 'VOLUME_NOT_FOUND' });
    assert.equal((await galleon.readBlock('a', 0)).length, 65536);
  });

  test('a closed GalleonFS refuses calls', async () => {
    await using scratch = await Scratch.make();
    const galleon = new GalleonFS({ storagePath: scratch.at('s') });
    await galleon.close();
    await assert.rejects(galleon.listVolumes(), { code: 'STORE_CLOSED' });
  });

  test('what it writes the daemon serves, and while that runs the storage path is locked', async () => {
    await using scratch = await Scratch.make();
    await using daemon = await GalleonfsDaemon.start({ directory: scratch.at('daemon') });
    await daemon.createVolume('shared', '1MiB');
    await using locked = new GalleonFS({ storagePath: daemon.storagePath });
    await assert.rejects(locked.listVolumes(), { code: 'STORAGE_PATH_LOCKED' });
    await daemon.stop();
    await locked.writeBlock('shared', 0, Buffer.alloc(4096, 'library '));
    await locked.close();
    await daemon.restart();
    assert.equal(await bash('head -c 8 "$1"', daemon.dataPath('shared')), 'library ');
  });
});
