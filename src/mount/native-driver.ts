import { NativeMount, type VolumeStore } from '../storage/index.ts';
import type { MountDriver, MountHandle, MountOptions, MountStats, SmallFile } from './mount-driver.ts';

/** Serves a volume by the native half, which speaks /dev/fuse itself: no byte of it passes through JavaScript. */
export const nativeDriver: MountDriver = {
  name: 'native',
  async mount(volume, options) {
    return new NativeDriverMount(await start(volume, options));
  },
};

class NativeDriverMount implements MountHandle {
  readonly driver = 'native';
  readonly #mount: NativeMount;

  constructor(mount: NativeMount) {
    this.#mount = mount;
  }

  get mountPoint(): string {
    return this.#mount.mountPoint;
  }

  async unmount(options: { readonly lazy: boolean }): Promise<void> {
    await this.#mount.stop(options);
  }

  stats(): MountStats {
    const { read, write, flush, discard, metadata, other } = this.#mount.stats();
    const kinds = [read, write, flush, discard, metadata, other];
    const sum = (value: 'requests' | 'errors'): number => kinds.reduce((total, kind) => total + kind[value], 0);
    return { requests: sum('requests'), errors: sum('errors') };
  }

  setFiles(files: readonly SmallFile[]): void {
    this.#mount.setFiles(textOf(files, 'README.txt'), textOf(files, '.galleonfs_metadata'));
  }
}

async function start(volume: VolumeStore, options: MountOptions): Promise<NativeMount> {
  const { mountPoint, readOnly, sync, allowOther, uid, gid, dataMode, directoryMode, truncate, files } = options;
  return await NativeMount.start(
    volume,
    {
      key: '',
      mountPoint,
      readOnly,
      sync,
      allowOther,
      uid,
      gid,
      fileMode: dataMode,
      directoryMode,
      truncate,
      cacheMode: 'direct',
      readme: textOf(files, 'README.txt'),
      metadata: textOf(files, '.galleonfs_metadata'),
    },
    // The daemon reads the mount table for that: it works for every driver.
    () => undefined,
  );
}

/** The native directory has exactly these two small files. */
function textOf(files: readonly SmallFile[], name: 'README.txt' | '.galleonfs_metadata'): string {
  const file = files.find((candidate) => candidate.name === name);
  return file === undefined ? '' : Buffer.from(file.content).toString();
}
