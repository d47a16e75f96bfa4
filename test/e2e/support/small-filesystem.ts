/** A small kernel file system of its own in a file, for a storage path: one that can be filled, or torn away. Needs root. */
import { mkdir, rm, statfs } from 'node:fs/promises';
import { bash, tryBash } from './shell.ts';

export type SmallKind = 'ext4' | 'xfs';

const MAKE: Record<SmallKind, string> = {
  // No blocks for root alone: the last byte is to be everybody's.
  ext4: 'mkfs.ext4 -q -F -m 0 "$1"',
  xfs: 'mkfs.xfs -q -f "$1"',
};

export const smallFilesystemTools: Record<SmallKind, readonly string[]> = {
  ext4: ['root', '/dev/fuse', 'mkfs.ext4', 'losetup'],
  xfs: ['root', '/dev/fuse', 'mkfs.xfs', 'losetup'],
};

export class SmallFilesystem implements AsyncDisposable {
  readonly path: string;
  readonly #image: string;
  readonly #device: string;

  private constructor(path: string, image: string, device: string) {
    this.path = path;
    this.#image = image;
    this.#device = device;
  }

  static async make(kind: SmallKind, directory: string, sizeMib: number): Promise<SmallFilesystem> {
    const image = `${directory}.img`;
    await mkdir(directory, { recursive: true });
    await bash('truncate -s "$2M" "$1"', image, sizeMib);
    const device = (await bash('losetup --find --show "$1"', image)).trim();
    const filesystem = new SmallFilesystem(directory, image, device);
    try {
      await bash(MAKE[kind], device);
      await bash('mount "$1" "$2"', device, directory);
    } catch (error) {
      await filesystem[Symbol.asyncDispose]();
      throw error;
    }
    return filesystem;
  }

  async freeBytes(): Promise<number> {
    const { bavail, bsize } = await statfs(this.path);
    return bavail * bsize;
  }

  /** Takes what is left, to the last byte; `bash` fails when the disk is full, which is what is wanted. */
  async fill(): Promise<void> {
    await tryBash(
      'for block in 1M 64k 4k 512 1; do dd if=/dev/zero bs=$block oflag=append conv=notrunc of="$1"; done',
      this.filler,
    );
    await tryBash('sync -f "$1"', this.path);
  }

  get filler(): string {
    return `${this.path}/filler`;
  }

  /** The disk below it is gone: whatever is not in the page cache, and every write, fails with EIO. */
  async tearAway(): Promise<void> {
    await bash('truncate -s 0 "$1"', this.#image);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await tryBash('mountpoint --quiet "$1" && { umount "$1" || umount --lazy "$1"; }', this.path);
    await tryBash('losetup --detach "$1"', this.#device);
    await rm(this.#image, { force: true });
  }
}
