import type { MountDriver, MountHandle, MountOptions } from '../../../src/mount/index.ts';
import type { InheritedMount } from '../../../src/mount/mount-driver.ts';

/** Mounts nothing, remembers everything; its mounts may be resumed. */
export class FakeDriver implements MountDriver {
  readonly name = 'native';
  readonly mounted = new Map<string, MountOptions>();
  readonly resumed = new Map<string, InheritedMount>();
  /** Asked before each mount and resumption. */
  failMount: (options: MountOptions) => Error | undefined = () => undefined;
  /** What an unmount that is not lazy fails with. */
  busy: Error | undefined;

  mount(_volume: unknown, options: MountOptions): Promise<MountHandle> {
    const failure = this.failMount(options);
    return failure === undefined ? Promise.resolve(this.#handle(options)) : Promise.reject(failure);
  }

  resume(_volume: unknown, options: MountOptions, inherited: InheritedMount): Promise<MountHandle> {
    const failure = this.failMount(options);
    if (failure !== undefined) return Promise.reject(failure);
    this.resumed.set(options.mountPoint, inherited);
    return Promise.resolve(this.#handle(options));
  }

  #handle(options: MountOptions): MountHandle {
    const { key, mountPoint } = options;
    this.mounted.set(mountPoint, options);
    return {
      driver: this.name,
      mountPoint,
      resumption: { deviceId: '0:99', negotiated: `negotiated ${key}` },
      inFlightSurvival: 'slots',
      unmount: ({ lazy }) => {
        if (!lazy && this.busy !== undefined) return Promise.reject(this.busy);
        this.mounted.delete(mountPoint);
        return Promise.resolve();
      },
      stats: () => ({ requests: 0, errors: 0 }),
      setFiles: () => undefined,
    };
  }
}
