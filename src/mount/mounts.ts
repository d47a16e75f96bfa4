import { randomBytes } from 'node:crypto';
import { basename, dirname, join, resolve } from 'node:path';
import { realpath } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  DEFAULT_MOUNT_PREFERENCES,
  type Catalog,
  type MountPreferences,
  type MountRecord,
  type MountResumption,
} from '../catalog/index.ts';
import { GalleonError } from '../errors/index.ts';
import type { Log } from '../lib/index.ts';
import { unmountStale, type DescriptorStore } from '../storage/index.ts';
import type { Volume } from '../volume/index.ts';
import type { InheritedMount, MountDriver, MountHandle, MountOptions } from './mount-driver.ts';
import { prepareMountPoint, releaseMountPoint, type MountPoint } from './mount-point.ts';
import { mountedAt, readMountTable, type MountTableEntry } from './mount-table.ts';
import { isStale, MOUNT_TYPE } from './stale-mount.ts';
import { volumeFiles } from './volume-files.ts';

export interface MountedVolume {
  readonly volume: Volume;
  readonly handle: MountHandle;
  readonly preferences: MountPreferences;
  /** ISO 8601, UTC. */
  readonly since: string;
}

/** A mount that an earlier daemon began and this one can go on with. */
export interface ResumableMount {
  readonly record: MountRecord;
  readonly inherited: InheritedMount;
}

interface MountsParts {
  readonly driver: MountDriver;
  /** Where it is written down which mounts stand. */
  readonly records: Pick<Catalog, 'mounts' | 'putMount' | 'removeMount'>;
  readonly descriptors: DescriptorStore;
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
    const { driver, records } = this.#parts;
    const point = await prepareMountPoint(path ?? this.defaultPath(volume.name), this.#parts.log);
    const record: MountRecord = {
      volume: volume.name,
      key: randomBytes(8).toString('hex'),
      mountPoint: point.path,
      createdMountPoint: point.created,
      preferences,
      since: new Date().toISOString(),
    };
    try {
      await records.putMount(record);
      const handle = await driver.mount(volume.store, this.#optionsOf(volume, record));
      const mounted = { volume, handle, preferences, since: record.since, point };
      this.#byVolume.set(volume.name, mounted);
      await records.putMount(withResumption(record, handle.resumption));
      this.#parts.log.info(
        { volume: volume.name, mountPoint: point.path, driver: handle.driver },
        `mounted volume "${volume.name}" at ${point.path}`,
      );
      return mounted;
    } catch (error) {
      await this.#byVolume.get(volume.name)?.handle.unmount({ lazy: true });
      this.#byVolume.delete(volume.name);
      await records.removeMount(volume.name).catch(() => undefined); // Its record says that nothing stands there.
      await releaseMountPoint(point);
      throw error;
    }
  }

  /**
   * Sorts what earlier daemons left, at the start: returns, by volume, the mounts to go on with, and takes the others
   * away. Every one returned must be given to `resume` or `abandon`, and `settled` called after that.
   */
  async takeStock(): Promise<Map<string, ResumableMount>> {
    const { descriptors, driver, records } = this.#parts;
    const resumable = new Map<string, ResumableMount>();
    const unknown = new Set(descriptors.inherited.keys());
    for (const record of records.mounts()) {
      const { resumption, volume, key } = record;
      const inherited = descriptors.inherited.get(key);
      unknown.delete(key);
      if (inherited !== undefined && resumption !== undefined && driver.resume !== undefined) {
        resumable.set(volume, { record, inherited: { descriptors: inherited, resumption } });
      } else {
        await this.#takeAway(record);
      }
    }
    for (const key of unknown) descriptors.drop(key);
    return resumable;
  }

  /**
   * Goes on with a mount: what waits on it is answered from now on.
   * @throws GalleonError what the driver says; the mount was then taken away
   */
  async resume(volume: Volume, { record, inherited }: ResumableMount): Promise<void> {
    const { driver, log } = this.#parts;
    const { mountPoint, createdMountPoint, preferences, since } = record;
    try {
      if (driver.resume === undefined)
        throw new GalleonError('INTERNAL', `the ${driver.name} driver resumes no mounts`);
      const handle = await driver.resume(volume.store, this.#optionsOf(volume, record), inherited);
      const point = { path: mountPoint, created: createdMountPoint };
      this.#byVolume.set(volume.name, { volume, handle, preferences, since, point });
    } catch (error) {
      await this.#takeAway(record);
      throw error;
    }
    log.info({ volume: volume.name, mountPoint }, `volume "${volume.name}" is served again at ${mountPoint}`);
  }

  /** A resumable mount whose volume cannot be served: what waits on it fails. */
  async abandon({ record }: ResumableMount): Promise<void> {
    await this.#takeAway(record);
  }

  /** Every mount that `takeStock` returned was resumed or abandoned. */
  settled(): void {
    this.#parts.descriptors.settle();
  }

  /** Why the mounts cannot be handed over to another daemon; undefined when they can. */
  get handOverHindrance(): string | undefined {
    const { descriptors, driver } = this.#parts;
    if (descriptors.kind === 'none') return 'nobody keeps its mounts meanwhile: it was started with --no-supervisor';
    if (driver.resume === undefined) return `the ${driver.name} driver's mounts end with the daemon`;
    return undefined;
  }

  /** Stops serving and leaves every mount to the next daemon; requests wait from now on. */
  async handOver(): Promise<void> {
    await this.#parts.descriptors.handOver();
    this.#byVolume.clear();
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
    await this.#parts.records.removeMount(mounted.volume.name);
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
    await this.#parts.records.removeMount(mounted.volume.name);
    await releaseMountPoint(mounted.point);
  }

  #optionsOf(volume: Volume, { key, mountPoint, preferences }: MountRecord): MountOptions {
    return {
      key,
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
    };
  }

  /** Ends a mount that nobody serves and that cannot be resumed, if it still stands, and forgets it. */
  async #takeAway(record: MountRecord): Promise<void> {
    const { descriptors, log, records } = this.#parts;
    const { volume, mountPoint, resumption, key } = record;
    if (descriptors.inherited.has(key)) descriptors.drop(key);
    const standing = mountedAt(await readMountTable(), mountPoint);
    const same = standing !== undefined && (resumption === undefined || resumption.deviceId === standing.deviceId);
    if (same && (await isStale(standing))) {
      await unmountStale(mountPoint, { lazy: true });
      log.warn({ volume, mountPoint }, `took away the dead mount of volume "${volume}" at ${mountPoint}`);
    }
    await records.removeMount(volume);
    await releaseMountPoint({ path: mountPoint, created: record.createdMountPoint });
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

function withResumption(record: MountRecord, resumption: MountResumption | undefined): MountRecord {
  return resumption === undefined ? record : { ...record, resumption };
}
