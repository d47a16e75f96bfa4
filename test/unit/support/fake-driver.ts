import type { MountDriver, MountHandle, MountOptions } from '../../../src/mount/index.ts';

/** Mounts nothing, remembers everything. */
export class FakeDriver implements MountDriver {
  readonly name = 'native';
  readonly mounted = new Map<string, MountOptions>();
  /** Asked before each mount. */
  failMount: (options: MountOptions) => Error | undefined = () => undefined;
  /** What an unmount that is not lazy fails with. */
  busy: Error | undefined;

  mount(_volume: unknown, options: MountOptions): Promise<MountHandle> {
    const failure = this.failMount(options);
    if (failure !== undefined) return Promise.reject(failure);
    const { mountPoint } = options;
    this.mounted.set(mountPoint, options);
    return Promise.resolve({
      driver: this.name,
      mountPoint,
      unmount: ({ lazy }) => {
        if (!lazy && this.busy !== undefined) return Promise.reject(this.busy);
        this.mounted.delete(mountPoint);
        return Promise.resolve();
      },
      stats: () => ({ requests: 0, errors: 0 }),
      setFiles: () => undefined,
    } satisfies MountHandle);
  }
}
