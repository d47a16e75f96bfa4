import {
  addon,
  type MountHandle,
  type NativeInheritedMount,
  type NativeMountOptions,
  type NativeMountState,
  type NativeMountStats,
} from './native.ts';
import { settled } from './native-error.ts';
import { handleOf, type VolumeStore } from './volume-store.ts';

/** One volume served at one mount point by the native FUSE server; no byte of it passes through JavaScript. */
export class NativeMount {
  readonly mountPoint: string;
  readonly #handle: MountHandle;

  private constructor(mountPoint: string, handle: MountHandle) {
    this.mountPoint = mountPoint;
    this.#handle = handle;
  }

  /**
   * Mounts and serves; nothing is left mounted on failure. The store must stay open until stop() resolved or `lost` was
   * called, which happens once, when somebody unmounts it from outside.
   *
   * @throws GalleonError FUSE_DEVICE_MISSING, FUSE_NOT_PERMITTED, FUSE_FUSERMOUNT_MISSING, FUSE_MOUNT_POINT,
   *   FUSE_ALREADY_MOUNTED, FUSE_MOUNT_FAILED, FUSE_RESOURCES
   */
  static async start(store: VolumeStore, options: NativeMountOptions, lost: () => void): Promise<NativeMount> {
    const { mountPoint } = options;
    const handle = await settled(`mounting ${mountPoint}`, () => addon().mountStart(handleOf(store), options, lost));
    return new NativeMount(mountPoint, handle);
  }

  /**
   * Goes on serving a mount that an earlier process served, after answering what was in flight when that one ended: its open
   * files see a pause. For the rest as start().
   *
   * @throws GalleonError FUSE_MOUNT_FAILED, FUSE_RESOURCES, FUSE_STOPPED: drop what was inherited, and unmount lazily
   */
  static async adopt(
    store: VolumeStore,
    options: NativeMountOptions,
    inherited: NativeInheritedMount,
    lost: () => void,
  ): Promise<NativeMount> {
    const { mountPoint } = options;
    const handle = await settled(`taking over the mount ${mountPoint}`, () =>
      addon().mountAdopt(handleOf(store), options, inherited, lost),
    );
    return new NativeMount(mountPoint, handle);
  }

  /** What adopt() in a later process needs to know; to be kept where it survives. */
  state(): NativeMountState {
    return addon().mountState(this.#handle);
  }

  /** Replaces README.txt and .galleonfs_metadata; readers see the change at their next open. */
  setFiles(readme: string, metadata: string): void {
    addon().mountSetFiles(this.#handle, readme, metadata);
  }

  stats(): NativeMountStats {
    return addon().mountStats(this.#handle);
  }

  /**
   * Unmounts, and resolves when nothing is served any more. `lazy` takes it out of the tree even while files are open:
   * those then work until the store is closed, which may be at once, and fail after.
   *
   * @throws GalleonError FUSE_BUSY when files are open and not lazy: it goes on being served
   */
  async stop(options: { readonly lazy: boolean }): Promise<void> {
    await settled(`unmounting ${this.mountPoint}`, () => addon().mountStop(this.#handle, options.lazy));
  }
}

/**
 * Takes away a mount of GalleonFS whose daemon is gone. Nothing of ours there: no error.
 *
 * @throws GalleonError FUSE_BUSY when files are open and not lazy, FUSE_UNMOUNT_FAILED
 */
export async function unmountStale(mountPoint: string, options: { readonly lazy: boolean }): Promise<void> {
  await settled(`unmounting ${mountPoint}`, () => addon().unmountPath(mountPoint, options.lazy));
}
