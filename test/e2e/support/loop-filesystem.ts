/** A kernel file system on a loop device over a volume's `data`, as a user sets it up. Needs root. */
import { mkdir } from 'node:fs/promises';
import { bash, tryBash } from './shell.ts';

export type FilesystemKind = 'ext4' | 'xfs' | 'btrfs';

const MAKE: Record<FilesystemKind, string> = {
  ext4: 'mkfs.ext4 -q -F "$1"',
  xfs: 'mkfs.xfs -q -f "$1"',
  btrfs: 'mkfs.btrfs -q -f "$1"',
};

/** Fails when the unmounted file system is not clean. */
const CHECK: Record<FilesystemKind, string> = {
  ext4: 'e2fsck -fn "$1"',
  xfs: 'xfs_repair -n "$1"',
  btrfs: 'btrfs check --check-data-csum "$1"',
};

export const filesystemTools: Record<FilesystemKind, readonly string[]> = {
  ext4: ['root', 'mkfs.ext4', 'e2fsck', 'losetup'],
  xfs: ['root', 'mkfs.xfs', 'xfs_repair', 'losetup'],
  btrfs: ['root', 'mkfs.btrfs', 'btrfs', 'losetup'],
};

export class LoopFilesystem implements AsyncDisposable {
  readonly kind: FilesystemKind;
  /** Where it is mounted. */
  readonly path: string;
  #device: string;

  private constructor(kind: FilesystemKind, path: string, device: string) {
    this.kind = kind;
    this.path = path;
    this.#device = device;
  }

  static async make(kind: FilesystemKind, data: string, path: string): Promise<LoopFilesystem> {
    await mkdir(path, { recursive: true });
    const filesystem = new LoopFilesystem(kind, path, await attach(data));
    try {
      await bash(MAKE[kind], filesystem.#device);
      await filesystem.mount();
    } catch (error) {
      await filesystem[Symbol.asyncDispose]();
      throw error;
    }
    return filesystem;
  }

  async mount(): Promise<void> {
    await bash('mount "$1" "$2"', this.#device, this.path);
  }

  async unmount(): Promise<void> {
    await bash('umount "$1"', this.path);
  }

  /** Unmounts and gives the loop device back, so that the volume is not in use any more. */
  async detach(): Promise<void> {
    await this.unmount();
    await bash('losetup --detach "$1"', this.#device);
    this.#device = '';
  }

  /** After detach(): takes a loop device again and mounts what is there. */
  async attach(data: string): Promise<void> {
    this.#device = await attach(data);
    await this.mount();
  }

  /** The file system must be unmounted. @throws Error with what the checker found. */
  async check(): Promise<void> {
    await bash(CHECK[this.kind], this.#device);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await tryBash('mountpoint --quiet "$1" && umount --lazy "$1"', this.path);
    if (this.#device !== '') await tryBash('losetup --detach "$1"', this.#device);
  }
}

async function attach(data: string): Promise<string> {
  return (await bash('losetup --find --show --direct-io=on "$1"', data)).trim();
}
