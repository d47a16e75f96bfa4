import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { describe, test } from 'node:test';
import { GalleonfsDaemon } from './support/galleonfs-daemon.ts';
import { needs } from './support/needs.ts';
import { Scratch } from './support/scratch.ts';
import { SmallFilesystem, smallFilesystemTools, type SmallKind } from './support/small-filesystem.ts';
import { BLOCK_BYTES } from './support/versioned-block.ts';
import { VersionedWriter } from './support/versioned-writer.ts';

const SIZE_MIB = 320;
const VOLUME_MIB = 160;
const BLOCKS = (VOLUME_MIB * 2 ** 20) / BLOCK_BYTES;

for (const kind of ['ext4', 'xfs'] satisfies SmallKind[]) {
  describe(`a storage path on an ${kind} that is full to the last byte`, { timeout: 300_000 }, () => {
    test('refuses writers with ENOSPC, loses nothing, restarts, and goes on when a volume is discarded or deleted', async (t) => {
      if (!needs(t, ...smallFilesystemTools[kind])) return;
      await using scratch = await Scratch.make();
      await using filesystem = await SmallFilesystem.make(kind, scratch.at('disk'), SIZE_MIB);
      await using daemon = await GalleonfsDaemon.start({ directory: `${filesystem.path}/daemon` });
      const writers = new Map<string, VersionedWriter>();
      // The daemon and its log lie there too.
      for (const name of ['a', 'b', 'c']) {
        writers.set(name, new VersionedWriter(await daemon.createVolume(name, `${VOLUME_MIB}MiB`), BLOCKS));
      }
      const all = [...writers.values()];
      const [a, b] = all as [VersionedWriter, VersionedWriter, VersionedWriter];
      const untilFull = async (): Promise<void> => {
        await Promise.all(all.map(async (writer) => await writer.write((_, refused) => refused >= 5)));
      };
      const verifyAll = async (): Promise<void> => {
        for (const [name, writer] of writers) {
          await writer.verify();
          const { readOnlyReason, checksumFailures } = await daemon.showVolume(name);
          assert.deepEqual({ readOnlyReason, checksumFailures }, { readOnlyReason: null, checksumFailures: 0 });
        }
      };

      await untilFull();
      await filesystem.fill();
      await untilFull();
      await filesystem.fill();
      for (const writer of all) {
        assert.deepEqual([...writer.errors.keys()], ['ENOSPC']);
        await writer.flush();
      }
      t.diagnostic(`full: ${await filesystem.freeBytes()} bytes are free, which the file system keeps for itself`);
      await verifyAll();

      await daemon.stop();
      await filesystem.fill();
      await daemon.restart();
      await verifyAll();
      await untilFull();

      daemon.killDaemon();
      await daemon.answering();
      await verifyAll();
      await untilFull();

      await daemon.kill();
      await filesystem.fill();
      await daemon.restart();
      await verifyAll();

      const goesOn = async (writer: VersionedWriter): Promise<void> => {
        const done = await writer.write((written, refused) => written >= 200 || refused >= 2000);
        assert.ok(done >= 200, `only ${done} writes were taken`);
      };
      // No segment is free of live blocks after this, but a third of each is dead.
      await a.discardFrom(BLOCKS / 2);
      await goesOn(a);
      await verifyAll();

      await untilFull();
      await filesystem.fill();
      await daemon.galleonfs('volume', 'delete', 'c', '--yes');
      writers.delete('c');
      all.pop();
      await goesOn(b);
      await verifyAll();

      await rm(filesystem.filler);
      for (const writer of all) assert.deepEqual([...writer.errors.keys()], ['ENOSPC']);
      await daemon.stop();
      await daemon.galleonfs('check', '--all');
    });
  });
}
