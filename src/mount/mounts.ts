import { basename, dirname, join, resolve } from 'node:path';
import { realpath } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { DEFAULT_MOUNT_PREFERENCES, type MountPreferences } from '../catalog/index.ts';
import { GalleonError } from '../errors/index.ts';
import type { Log } from '../lib/index.ts';
import type { Volume } from '../volume/index.ts';
import type { MountDriver, MountHandle } from './mount-driver.ts';
import { prepareMountPoint, releaseMountPoint, type MountPoint } from './mount-point.ts';
import { mountedAt, readMountTable, type MountTableEntry } from './mount-table.ts';
import { MOUNT_TYPE } from './stale-mount.ts';
import { volumeFiles } from './volume-files.ts';

export interface MountedVolume {
  readonly volume: Volume;
  readonly handle: MountHandle;
  readonly preferences: MountPreferences;
  /** ISO 8601, UTC. */
  readonly since: string;
}

interface MountsParts {
  readonly driver: MountDriver;
  /** Where volumes without a path of their own appear. Absolute. */
  readonly root: string;
  /** Every mount is for all users. */
  readonly allowOther: boolean;
  readonly log: Log;
}

const BUSY_RETRY_MS = 100;

/**
 * The mounts of this daemon: at most one a volume. Calls for one volume must not overlap.
 * Only the mount table is read to see what is mounted; the daemon never opens, stats or lists its own mounts.
 */
export class Mounts {
  readonly #parts: MountsParts;
  readonly #byVolume = new Map<string, MountedVolume & { readonly point: MountPoint }>();

  constructor(parts: MountsParts) {
    this.#parts = parts;
  }

  get driverName(): string {
    return this.#parts.driver.name;
  }

  find(volumeName: string): MountedVolume | undefined {
    return this.#byVolume.get(volumeName);
  }

  list(): MountedVolume[] {
    return [...this.#byVolume.values()];
  }

  /** The mount at a path, as the user may spell it. */
  async findByPath(path: string): Promise<MountedVolume | undefined> {
    const wanted = resolve(path);
    const spellings = [wanted, join(await realpath(dirname(wanted)).catch(() => dirname(wanted)), basename(wanted))];
    return this.list().find(({ handle }) => spellings.includes(handle.mountPoint));
  }

  defaultPath(volumeName: string): string {
    return join(this.#parts.root, volumeName);
  }

  /** Refuses what `mount` would refuse for the path, and leaves nothing behind. */
  async check(volumeName: string, path: string | undefined): Promise<void> {
    await releaseMountPoint(await prepareMountPoint(path ?? this.defaultPath(volumeName), this.#parts.log));
  }

  /**
   * Mounts an open volume at `path` or `<root>/<name>`.
   * @throws GalleonError VOLUME_MOUNTED, the MOUNT_POINT_ codes, or what the driver says; nothing is left mounted
   */
  async mount(
    volume: Volume,
    path: string | undefined,
    preferences: MountPreferences = DEFAULT_MOUNT_PREFERENCES,
  ): Promise<MountedVolume> {
    const present = this.#byVolume.get(volume.name);
    if (present !== undefined) {
      throw new GalleonError(
        'VOLUME_MOUNTED',
        `volume "${volume.name}" is already mounted at ${present.handle.mountPoint}: unmount it first to mount it elsewhere`,
      );
    }
    const point = await prepareMountPoint(path ?? this.defaultPath(volume.name), this.#parts.log);
    try {
      const handle = await this.#serve(volume, point.path, preferences);
      const mounted = { volume, handle, preferences, since: new Date().toISOString(), point };
      this.#byVolume.set(volume.name, mounted);
      this.#parts.log.info(
        { volume: volume.name, mountPoint: point.path, driver: handle.driver },
        `mounted volume "${volume.name}" at ${point.path}`,
      );
      return mounted;
    } catch (error) {
      await releaseMountPoint(point);
      throw error;
    }
  }

  /**
   * Ends the volume's mount; `lazy` also while files on it are open.
   * @throws GalleonError VOLUME_NOT_MOUNTED; MOUNT_BUSY or FUSE_UNMOUNT_BUSY when not lazy, the mount then goes on
   */
  async unmount(volumeName: string, options: { readonly lazy: boolean }): Promise<void> {
    const mounted = this.#byVolume.get(volumeName);
    if (mounted === undefined) {
      throw new GalleonError('VOLUME_NOT_MOUNTED', `volume "${volumeName}" is not mounted`);
    }
    await mounted.handle.unmount(options);
    this.#byVolume.delete(volumeName);
    await releaseMountPoint(mounted.point);
    this.#parts.log.info(
      { volume: volumeName, mountPoint: mounted.point.path, lazy: options.lazy },
      `unmounted volume "${volumeName}"`,
    );
  }

  /** Unmounts everything: patiently first, and lazily what is still busy after `patienceMs`. */
  async unmountAll(patienceMs: number, hurry: AbortSignal): Promise<void> {
    await Promise.all(
      [...this.#byVolume.keys()].map(async (volumeName) => await this.#unmountSurely(volumeName, patienceMs, hurry)),
    );
  }

  /** Names of volumes whose mount somebody else took away, with umount(8) for example. */
  async vanished(): Promise<string[]> {
    const table = await readMountTable();
    return [...this.#byVolume].filter(([, { point }]) => !isOurs(table, point)).map(([volumeName]) => volumeName);
  }

  /** Forgets the volume's mount if it has vanished. */
  async forgetVanished(volumeName: string): Promise<void> {
    const mounted = this.#byVolume.get(volumeName);
    if (mounted === undefined || isOurs(await readMountTable(), mounted.point)) return;
    this.#byVolume.delete(volumeName);
    const mountPoint = mounted.point.path;
    this.#parts.log.warn({ volume: volumeName, mountPoint }, `someone else unmounted volume "${volumeName}"`);
    await mounted.handle.unmount({ lazy: true }).catch(() => undefined);
    await releaseMountPoint(mounted.point);
  }

  async #serve(volume: Volume, mountPoint: string, preferences: MountPreferences): Promise<MountHandle> {
    return await this.#parts.driver.mount(volume.store, {
      mountPoint,
      source: `galleonfs:${volume.name}`,
      readOnly: preferences.readOnly,
      sync: preferences.sync,
      allowOther: preferences.allowOther || this.#parts.allowOther,
      uid: preferences.uid ?? process.getuid?.() ?? 0,
      gid: preferences.gid ?? process.getgid?.() ?? 0,
      dataMode: preferences.mode,
      directoryMode: 0o755,
      truncate: preferences.truncate,
      files: volumeFiles(volume.record, mountPoint),
    });
  }

  async #unmountSurely(volumeName: string, patienceMs: number, hurry: AbortSignal): Promise<void> {
    const deadlineMs = performance.now() + patienceMs;
    for (;;) {
      const lazy = hurry.aborted || performance.now() >= deadlineMs;
      try {
        await this.unmount(volumeName, { lazy });
        return;
      } catch (error) {
        if (lazy) {
          this.#parts.log.error({ volume: volumeName, error }, `volume "${volumeName}" could not be unmounted`);
          return;
        }
        await sleep(BUSY_RETRY_MS);
      }
    }
  }
}

function isOurs(table: readonly MountTableEntry[], { path }: MountPoint): boolean {
  return mountedAt(table, path)?.type === MOUNT_TYPE;
}
