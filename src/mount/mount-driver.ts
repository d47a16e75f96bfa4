/**
 * What every mount driver offers. A driver turns one open volume into one directory (`data`, `README.txt`,
 * `.galleonfs_metadata`) and serves it until it is unmounted. The daemon picks the driver; nothing else knows which it is.
 */
import type { MountResumption } from '../catalog/index.ts';
import type { VolumeStore } from '../storage/index.ts';

/** `--fuse-driver`: `native` speaks /dev/fuse itself (Linux), `portable` goes through libfuse 2 (also macOS). */
export type MountDriverName = 'native' | 'portable';

/**
 * What a truncate of `data` to n <= size does. `discard`: succeeds and discards [n, end). `ignore`: succeeds, changes
 * nothing. `refuse`: EPERM unless n is the size. In all three the size stays, and n > size is EINVAL.
 */
export type TruncateMode = 'discard' | 'ignore' | 'refuse';

/** A small read-only file beside `data`. */
export interface SmallFile {
  /** Without a slash; not `data`. */
  readonly name: string;
  readonly content: Uint8Array;
}

/** What becomes of requests that were being served when a daemon dies. `none`: they fail, and the mount with them. */
export type InFlightSurvival = 'resend' | 'slots' | 'none';

/** A mount that an earlier process began, and what it left for whoever goes on with it. */
export interface InheritedMount {
  /** The connection's first, then its clones'; the driver's from now on. */
  readonly descriptors: readonly number[];
  readonly resumption: MountResumption;
}

export interface MountOptions {
  /** Names the mount's descriptors in the descriptor store: 16 hexadecimal digits. */
  readonly key: string;
  /** Absolute path of an existing, empty directory that nothing is mounted on. */
  readonly mountPoint: string;
  /** Shown as the source in /proc/self/mountinfo, for example `galleonfs:database`. No commas. */
  readonly source: string;
  readonly readOnly: boolean;
  /** Every write is durable before it returns. */
  readonly sync: boolean;
  /** Other users may enter; the kernel then checks modes and owner. */
  readonly allowOther: boolean;
  readonly uid: number;
  readonly gid: number;
  /** Permission bits of `data` (for example 0o600) and of the directory (0o755). */
  readonly dataMode: number;
  readonly directoryMode: number;
  readonly truncate: TruncateMode;
  readonly files: readonly SmallFile[];
}

/** Counted since the mount began. The volume's own statistics are kept by its store. */
export interface MountStats {
  readonly requests: number;
  /** Requests answered with an errno other than ENOENT and ENOSYS. */
  readonly errors: number;
  /** Requests being served; absent where the driver does not count them. */
  readonly inFlight?: number;
  /** Open descriptions of `data` in other processes; absent where the driver keeps no handles. */
  readonly openFiles?: number;
}

export interface MountHandle {
  readonly driver: MountDriverName;
  readonly mountPoint: string;
  /** For a later daemon to go on with the mount; absent where it ends with this process. */
  readonly resumption?: MountResumption | undefined;
  readonly inFlightSurvival: InFlightSurvival;
  /**
   * Ends the mount. Resolves when no request is in flight any more, so that the volume may be closed.
   *
   * `lazy` takes the mount from the tree at once, even when files on it are open; those then fail with EIO or ENOTCONN.
   *
   * @throws GalleonError `MOUNT_BUSY` when not lazy and files are open; the mount then goes on as before.
   */
  unmount(options: { readonly lazy: boolean }): Promise<void>;
  stats(): MountStats;
  /** Replaces the small files beside `data`; readers see the change at their next open. */
  setFiles(files: readonly SmallFile[]): void;
}

export interface MountDriver {
  readonly name: MountDriverName;
  /**
   * Mounts and serves. The volume stays the caller's and must stay open until unmount() resolved.
   *
   * @throws GalleonError when /dev/fuse or a helper is missing, permission is refused, or the mount point is unusable.
   *   Nothing is left mounted.
   */
  mount(volume: VolumeStore, options: MountOptions): Promise<MountHandle>;
  /**
   * Goes on with a mount of an earlier process, beginning with the requests it left unanswered. Absent: this driver's
   * mounts end with their process.
   *
   * @throws GalleonError FUSE_RESOURCES, FUSE_STOPPED; the mount is then dead, but still in the tree
   */
  resume?(volume: VolumeStore, options: MountOptions, inherited: InheritedMount): Promise<MountHandle>;
}
