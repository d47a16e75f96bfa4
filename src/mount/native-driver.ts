import type { MountResumption } from '../catalog/index.ts';
import { NativeMount, type NativeMountOptions } from '../storage/index.ts';
import type {
  InFlightSurvival,
  MountDriver,
  MountHandle,
  MountOptions,
  MountStats,
  SmallFile,
} from './mount-driver.ts';

/** Serves a volume by the native half, which speaks /dev/fuse itself: no byte of it passes through JavaScript. */
export const nativeDriver: MountDriver = {
  name: 'native',
  async mount(volume, options) {
    return new NativeDriverMount(await NativeMount.start(volume, nativeOptions(options), ignoreLoss));
  },
  async resume(volume, options, { descriptors, resumption }) {
    const { deviceId, negotiated } = resumption;
    return new NativeDriverMount(
      await NativeMount.adopt(volume, nativeOptions(options), { descriptors, deviceId, negotiated }, ignoreLoss),
    );
  },
};

/** The daemon reads the mount table to see that somebody took a mount away: that works for every driver. */
function ignoreLoss(): void {
  // Seen in the table.
}

class NativeDriverMount implements MountHandle {
  readonly driver = 'native';
  readonly mountPoint: string;
  readonly resumption: MountResumption | undefined;
  readonly inFlightSurvival: InFlightSurvival;
  readonly #mount: NativeMount;

  constructor(mount: NativeMount) {
    const { deviceId, negotiated, inFlight } = mount.state();
    this.mountPoint = mount.mountPoint;
    this.resumption = inFlight === 'none' ? undefined : { deviceId, negotiated };
    this.inFlightSurvival = inFlight;
    this.#mount = mount;
  }

  async unmount(options: { readonly lazy: boolean }): Promise<void> {
    await this.#mount.stop(options);
  }

  stats(): MountStats {
    const { read, write, flush, discard, metadata, other, inFlight } = this.#mount.stats();
    const kinds = [read, write, flush, discard, metadata, other];
    const sum = (value: 'requests' | 'errors'): number => kinds.reduce((total, kind) => total + kind[value], 0);
    return { requests: sum('requests'), errors: sum('errors'), inFlight };
  }

  setFiles(files: readonly SmallFile[]): void {
    this.#mount.setFiles(textOf(files, 'README.txt'), textOf(files, '.galleonfs_metadata'));
  }
}

function nativeOptions(options: MountOptions): NativeMountOptions {
  const { key, mountPoint, readOnly, sync, allowOther, uid, gid, dataMode, directoryMode, truncate, files } = options;
  return {
    key,
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
  };
}

/** The native directory has exactly these two small files. */
function textOf(files: readonly SmallFile[], name: 'README.txt' | '.galleonfs_metadata'): string {
  const file = files.find((candidate) => candidate.name === name);
  return file === undefined ? '' : Buffer.from(file.content).toString();
}
