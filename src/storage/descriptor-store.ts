import { addon } from './native.ts';
import { settled } from './native-error.ts';

/** Who keeps the mounts' descriptors while there is no daemon: nobody means that mounts end with it. */
export type DescriptorStoreKind = 'systemd' | 'supervisor' | 'none';

/**
 * The place outside this process where the descriptors of mounts are kept, so that a later daemon goes on with them
 * (sd_notify(3): FDSTORE). Depositing is the native half's, before anything relies on it; this is the rest.
 */
export interface DescriptorStore {
  readonly kind: DescriptorStoreKind;
  /** What an earlier daemon deposited: of each mount's key the descriptors, the connection's first. */
  readonly inherited: ReadonlyMap<string, readonly number[]>;
  /** Gives up an inherited mount: its files fail from now on. */
  drop(key: string): void;
  /** Every inherited mount was taken over or dropped. */
  settle(): void;
  /** Stops serving, after the requests under way, and leaves the mounts to the next daemon. */
  handOver(): Promise<void>;
  /** Tells whoever started the daemon how it is: `READY=1`, `WATCHDOG=1`. Nobody there: nothing happens. */
  notify(state: string): void;
}

const SYSTEMD_SOCKET_PREFIX = '/run/systemd/';
const MOUNT_DESCRIPTOR = /^mount-([0-9a-f]{16})-(\d+)$/;

/** The process's own. Call once, before a store is opened. @throws GalleonError ADDON_UNAVAILABLE */
export function openDescriptorStore(environment: Readonly<NodeJS.ProcessEnv>): DescriptorStore {
  const socket = environment['NOTIFY_SOCKET'];
  const kind = socket === undefined ? 'none' : socket.startsWith(SYSTEMD_SOCKET_PREFIX) ? 'systemd' : 'supervisor';
  return {
    kind,
    inherited: byMount(addon().inheritedDescriptors()),
    drop: (key) => {
      addon().dropInherited(key);
    },
    settle: () => {
      addon().adoptionFinished();
    },
    handOver: async () => {
      await settled('handing the mounts over', () => addon().mountsRelease());
    },
    notify: (state) => {
      addon().notify(state);
    },
  };
}

/** Exported for its tests. */
export function byMount(
  descriptors: readonly { readonly name: string; readonly fd: number }[],
): ReadonlyMap<string, readonly number[]> {
  const mounts = new Map<string, { index: number; fd: number }[]>();
  for (const { name, fd } of descriptors) {
    const [, key, index] = MOUNT_DESCRIPTOR.exec(name) ?? [];
    if (key === undefined) continue;
    mounts.set(key, [...(mounts.get(key) ?? []), { index: Number(index), fd }]);
  }
  return new Map([...mounts].map(([key, found]) => [key, found.sort((a, b) => a.index - b.index).map(({ fd }) => fd)]));
}
