import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { before, describe, test } from 'node:test';
import { PowerCutLab } from '../crash/power-cut/power-cut-lab.ts';
import { eventually } from './support/eventually.ts';
import { GalleonfsDaemon } from './support/galleonfs-daemon.ts';
import { needs } from './support/needs.ts';
import { Scratch } from './support/scratch.ts';
import { bash, tryBash } from './support/shell.ts';
import { BLOCK_BYTES } from './support/versioned-block.ts';
import { VersionedWriter } from './support/versioned-writer.ts';

const VOLUME_MIB = 64;
const BLOCKS = (VOLUME_MIB * 2 ** 20) / BLOCK_BYTES;

describe('a daemon whose disk fails', { timeout: 300_000 }, () => {
  before(async () => {
    await bash('make -s -C "$1" power-cut-disk >/dev/null', resolve(import.meta.dirname, '../../native'));
  });

  test('stops that volume alone, says why, ends, and has all that was flushed when the disk is back', async (t) => {
    if (!needs(t, 'root', '/dev/fuse', 'mkfs.ext4', 'losetup')) return;
    await using scratch = await Scratch.make();
    await using lab = await PowerCutLab.start(scratch.at('lab'), 'ext4', 320);
    await using daemon = await GalleonfsDaemon.start({ directory: scratch.at('daemon') });
    const broken = new VersionedWriter(await daemon.createVolume('broken', `${VOLUME_MIB}MiB`), BLOCKS);
    const healthy = new VersionedWriter(await daemon.createVolume('healthy', `${VOLUME_MIB}MiB`), BLOCKS);
    const { id } = await daemon.showVolume('broken');
    const store = `${daemon.storagePath}/volumes/${String(id)}`;
    await daemon.stop();
    // The store of one volume on the disk that will fail.
    const elsewhere = `${lab.live}/store`;
    await bash('cp -a "$1" "$2" && mount --bind "$2" "$1"', store, elsewhere);
    try {
      await daemon.restart();
      await broken.write((done) => done >= 500);
      await broken.flush();

      await lab.break();
      await assert.rejects(broken.flushAfterWrite(), { code: 'EIO' });
      await assert.rejects(broken.flush(), { code: 'EROFS' });
      const shown = await daemon.showVolume('broken');
      assert.match(String(shown['readOnlyReason']), /failed: Input\/output error/);
      assert.match(await daemon.galleonfs('status'), /broken is read-only: .* failed: Input\/output error/);
      const metrics = await (await fetch(`http://${daemon.address}/metrics`)).text();
      assert.match(metrics, /galleonfs_volume_read_only\{volume="broken"\} 1/);
      assert.match(metrics, /galleonfs_volume_read_only\{volume="healthy"\} 0/);
      assert.match(metrics, /galleonfs_volume_errors_total\{volume="broken",operation="flush"\} [1-9]/);

      await healthy.write((done) => done >= 500);
      await healthy.flush();
      await healthy.verify();
      assert.deepEqual([...healthy.errors], []);

      await daemon.galleonfs('unmount', 'broken');
      await daemon.stop();
      await bash('umount "$1"', store);
      await lab.mend();
      await bash('mount --bind "$2" "$1"', store, elsewhere);
      await daemon.restart();
      await broken.verify();
      await healthy.verify();
      await broken.write((done) => done >= 100);
      await broken.flush();
      await daemon.stop();
      const { exitCode, stdout } = await daemon.tryGalleonfs('check', '--all');
      assert.equal(exitCode, 0, stdout);
    } finally {
      await tryBash('umount --lazy "$1"', store);
    }
  });

  test('refuses writes while it has no descriptors, and goes on when it has some', async (t) => {
    if (!needs(t, 'root', '/dev/fuse', 'prlimit')) return;
    await using scratch = await Scratch.make();
    await using daemon = await GalleonfsDaemon.start({ directory: scratch.at('daemon') });
    const writer = new VersionedWriter(await daemon.createVolume('few', `${VOLUME_MIB}MiB`), BLOCKS);
    await writer.write((done) => done >= 50);
    const limit = (await bash('prlimit --pid "$1" --nofile --output SOFT --noheadings', daemon.pid)).trim();
    await bash('prlimit --pid "$1" --nofile=1:', daemon.pid);
    await writer.write((done, refused) => refused >= 5 || done >= 100_000);
    assert.deepEqual([...writer.errors.keys()], ['EIO']);
    await bash('prlimit --pid "$1" --nofile="$2":', daemon.pid, limit);
    writer.errors.clear();
    await eventually(async () => {
      await writer.write((done, refused) => done + refused >= 50);
      const clean = writer.errors.size === 0;
      writer.errors.clear();
      return clean;
    });
    await writer.verify();
    const { readOnlyReason, refusal, checksumFailures } = await daemon.showVolume('few');
    assert.deepEqual([readOnlyReason, refusal, checksumFailures], [null, null, 0]);
  });
});
