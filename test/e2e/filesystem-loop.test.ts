import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { useDaemon, type DaemonFixture } from './support/daemon-fixture.ts';
import { eventually } from './support/eventually.ts';
import type { Driver } from './support/galleonfs-daemon.ts';
import { filesystemTools, LoopFilesystem, type FilesystemKind } from './support/loop-filesystem.ts';
import { needs } from './support/needs.ts';
import { bash } from './support/shell.ts';

// A source tree that is there wherever the addon can be built: about 8,000 files, or 800.
const TREE = process.env['GALLEONFS_TEST_LONG'] === '1' ? '/usr/include' : '/usr/include/linux';
const MIB = 2 ** 20;

const combinations: readonly [Driver, FilesystemKind][] = [
  ['native', 'ext4'],
  ['native', 'xfs'],
  ['native', 'btrfs'],
  ['portable', 'ext4'],
];

for (const [driver, kind] of combinations) {
  describe(`${kind} looped over a volume, ${driver} driver`, { timeout: 600_000 }, () => {
    const fixture = useDaemon({ driver });

    test('a source tree is the same after unmounting and mounting, and the check is clean', async (t) => {
      if (!needs(t, ...filesystemTools[kind])) return;
      await using filesystem = await onNewVolume(fixture, kind);
      await copyTree(filesystem);
      await filesystem.unmount();
      await filesystem.mount();
      await compareTree(filesystem);
      await filesystem.unmount();
      await filesystem.check();
    });

    test('a source tree is the same after a restart of the daemon', async (t) => {
      if (!needs(t, ...filesystemTools[kind])) return;
      const data = await fixture.volume('1GiB');
      await using filesystem = await LoopFilesystem.make(kind, data, fixture.scratch.at('restarted'));
      await copyTree(filesystem);
      await filesystem.detach();
      await fixture.daemon.stop();
      await fixture.daemon.restart();
      await filesystem.attach(data);
      await compareTree(filesystem);
      await filesystem.unmount();
      await filesystem.check();
    });

    const skip = driver === 'portable' && 'without fallocate the loop device offers no discard';
    test('deleted files give their space back after fstrim', { skip }, async (t) => {
      if (!needs(t, ...filesystemTools[kind], 'fstrim')) return;
      const data = await fixture.volume('1GiB');
      await using filesystem = await LoopFilesystem.make(kind, data, fixture.scratch.at('trimmed'));
      const name = data.split('/').at(-2) ?? '';
      const empty = await liveBytes(fixture, name);
      await bash('head -c 256M /dev/urandom > "$1/big"; sync -f "$1"', filesystem.path);
      const full = await liveBytes(fixture, name);
      assert.ok(full - empty > 250 * MIB, `256 MiB were written, live bytes went from ${empty} to ${full}`);
      await bash('rm "$1/big"', filesystem.path);
      // Deleting goes on in the background, so that one fstrim may come too early, and so does the store's accounting.
      await eventually(async () => {
        await bash('sync -f "$1"; fstrim "$1"; sleep 3', filesystem.path);
        return (await liveBytes(fixture, name)) - empty < 32 * MIB;
      });
      await filesystem.unmount();
      await filesystem.check();
    });
  });
}

describe('looped file systems', { timeout: 300_000 }, () => {
  const fixture = useDaemon();

  test('mkfs on data itself and mount -o loop', async (t) => {
    if (!needs(t, ...filesystemTools.ext4)) return;
    const data = await fixture.volume('256MiB');
    const script = `mkfs.ext4 -q "$1"; mkdir "$2"; mount -o loop "$1" "$2"
      trap 'umount "$2"' EXIT
      echo inside > "$2/file"; sync -f "$2"; cat "$2/file"`;
    assert.equal(await bash(script, data, fixture.scratch.at('direct')), 'inside\n');
    await bash('e2fsck -fn "$1"', data);
  });

  test('btrfs scrub finds every checksum right', async (t) => {
    if (!needs(t, ...filesystemTools.btrfs)) return;
    await using filesystem = await onNewVolume(fixture, 'btrfs');
    await copyTree(filesystem);
    assert.match(await bash('btrfs scrub start -B "$1"', filesystem.path), /no errors found/);
  });

  test('fio verifies random writes and discards on the loop device', async (t) => {
    if (!needs(t, 'root', 'fio', 'losetup')) return;
    const data = await fixture.volume('256MiB');
    const script = `cd "$2"; loop=$(losetup --find --show --direct-io=on "$1"); trap 'losetup --detach "$loop"' EXIT
      fio --name=trim --filename="$loop" --size=256M --rw=randtrimwrite --bs=16k --ioengine=libaio --iodepth=4 --direct=1 \
        --verify=crc32c --verify_fatal=1 --do_verify=1`;
    await bash(script, data, fixture.scratch.path);
  });

  test('512-byte writes through a loop device', async (t) => {
    if (!needs(t, 'root', 'losetup')) return;
    const data = await fixture.volume('8MiB');
    const script = `loop=$(losetup --find --show --direct-io=on "$1"); trap 'losetup --detach "$loop"' EXIT
      head -c 1M /dev/urandom > "$2"; dd if="$2" of="$loop" bs=512 seek=3 oflag=direct status=none
      cmp <(tail -c +1537 "$1" | head -c 1M) "$2"`;
    await bash(script, data, fixture.scratch.at('sectors'));
  });
});

async function onNewVolume(fixture: DaemonFixture, kind: FilesystemKind): Promise<LoopFilesystem> {
  const data = await fixture.volume('1GiB');
  return LoopFilesystem.make(kind, data, `${fixture.scratch.path}/${data.split('/').at(-2)}`);
}

async function copyTree({ path }: LoopFilesystem): Promise<void> {
  await bash('mkdir "$2/tree"; tar -C "$1" -cf - . | tar -C "$2/tree" -xf -; sync -f "$2"', TREE, path);
}

async function compareTree({ path }: LoopFilesystem): Promise<void> {
  await bash('diff -r --no-dereference "$1" "$2/tree"', TREE, path);
}

async function liveBytes({ daemon }: DaemonFixture, volume: string): Promise<number> {
  const { liveBytes: bytes } = await daemon.showVolume(volume);
  if (typeof bytes !== 'number') throw new Error(`volume show has no liveBytes: ${String(bytes)}`);
  return bytes;
}
