import { join } from 'node:path';
import { Level } from 'level';
import { GalleonError } from '../errors/index.ts';
import { lockHolder } from './lock-holder.ts';
import type { MountRecord } from './mount-record.ts';
import type { StorageClass } from './storage-class.ts';
import type { VolumeName } from './volume-name.ts';
import type { VolumeRecord } from './volume-record.ts';

const FORMAT = 1;
const FORMAT_KEY = 'meta!format';
const VOLUME_PREFIX = 'volume!';
const CLASS_PREFIX = 'class!';
const MOUNT_PREFIX = 'mount!';

/**
 * The daemon's metadata: volumes, storage classes and mounts, kept in LevelDB.
 *
 * Invariants: what the maps show is what is on disk (a write reaches the map only after LevelDB synced it). LevelDB's
 * kernel lock on `<directory>/LOCK` is what makes a storage path exclusive: it ends with the process, however it ends.
 */
export class Catalog {
  readonly #database: Level;
  readonly #volumes: Map<VolumeName, VolumeRecord>;
  readonly #classes: Map<string, StorageClass>;
  readonly #mounts: Map<VolumeName, MountRecord>;

  private constructor(
    database: Level,
    volumes: Map<VolumeName, VolumeRecord>,
    classes: Map<string, StorageClass>,
    mounts: Map<VolumeName, MountRecord>,
  ) {
    this.#database = database;
    this.#volumes = volumes;
    this.#classes = classes;
    this.#mounts = mounts;
  }

  /**
   * Opens the catalog, making an empty one where there is none, and holds its lock until `close`.
   * @throws GalleonError STORAGE_PATH_LOCKED, CATALOG_DAMAGED, CATALOG_TOO_NEW
   */
  static async open(directory: string): Promise<Catalog> {
    const database = new Level(directory);
    try {
      await database.open();
    } catch (error) {
      throw await openFailure(directory, error);
    }
    try {
      await checkFormat(database, directory);
      const volumes = await readAll<VolumeRecord>(database, VOLUME_PREFIX);
      const classes = await readAll<StorageClass>(database, CLASS_PREFIX);
      const mounts = await readAll<MountRecord>(database, MOUNT_PREFIX);
      return new Catalog(
        database,
        new Map(volumes.map((record) => [record.name, record])),
        new Map(classes.map((storageClass) => [storageClass.name, storageClass])),
        new Map(mounts.map((mount) => [mount.volume, mount])),
      );
    } catch (error) {
      await database.close();
      throw error;
    }
  }

  /** Sorted by name. */
  volumes(): VolumeRecord[] {
    return [...this.#volumes.values()].sort(byName);
  }

  volume(name: VolumeName): VolumeRecord | undefined {
    return this.#volumes.get(name);
  }

  /** Durable when it returns. */
  async putVolume(record: VolumeRecord): Promise<void> {
    await this.#database.put(VOLUME_PREFIX + record.name, JSON.stringify(record), { sync: true });
    this.#volumes.set(record.name, record);
  }

  /** Durable when it returns. */
  async removeVolume(name: VolumeName): Promise<void> {
    await this.#database.del(VOLUME_PREFIX + name, { sync: true });
    this.#volumes.delete(name);
  }

  /** Sorted by name. */
  storageClasses(): StorageClass[] {
    return [...this.#classes.values()].sort(byName);
  }

  storageClass(name: string): StorageClass | undefined {
    return this.#classes.get(name);
  }

  /** Durable when it returns. */
  async putStorageClass(storageClass: StorageClass): Promise<void> {
    await this.#database.put(CLASS_PREFIX + storageClass.name, JSON.stringify(storageClass), { sync: true });
    this.#classes.set(storageClass.name, storageClass);
  }

  /** The mounts that stood, or were being made, when they were last written. */
  mounts(): MountRecord[] {
    return [...this.#mounts.values()];
  }

  /** Survives the process, not a power cut, which ends mounts as well. */
  async putMount(record: MountRecord): Promise<void> {
    await this.#database.put(MOUNT_PREFIX + record.volume, JSON.stringify(record));
    this.#mounts.set(record.volume, record);
  }

  /** As durable as putMount(). */
  async removeMount(volume: VolumeName): Promise<void> {
    await this.#database.del(MOUNT_PREFIX + volume);
    this.#mounts.delete(volume);
  }

  /** Gives the lock back. Idempotent. */
  async close(): Promise<void> {
    await this.#database.close();
  }
}

async function checkFormat(database: Level, directory: string): Promise<void> {
  const stored = await database.get(FORMAT_KEY);
  // level's types leave out that a missing key reads as undefined.
  if ((stored as string | undefined) === undefined) {
    await database.put(FORMAT_KEY, String(FORMAT), { sync: true });
  } else if (Number(stored) > FORMAT) {
    throw new GalleonError(
      'CATALOG_TOO_NEW',
      `the catalog ${directory} has format ${stored}, written by a newer GalleonFS; this one reads up to ${FORMAT}`,
    );
  }
}

async function readAll<Value>(database: Level, prefix: string): Promise<Value[]> {
  const values: Value[] = [];
  try {
    for await (const [key, text] of database.iterator({ gte: prefix, lt: `${prefix}\uffff` })) {
      values.push(parse(key, text) as Value);
    }
  } catch (error) {
    if (error instanceof GalleonError) throw error;
    throw new GalleonError('CATALOG_DAMAGED', `the catalog ${database.location} cannot be read: ${causes(error)}`, {
      cause: error,
    });
  }
  return values;
}

function parse(key: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new GalleonError('CATALOG_DAMAGED', `the catalog entry "${key}" is not valid JSON`, { cause: error });
  }
}

async function openFailure(directory: string, error: unknown): Promise<GalleonError> {
  const inner = error instanceof Error ? error.cause : undefined;
  if (inner instanceof Error && 'code' in inner && inner.code === 'LEVEL_LOCKED') {
    const pid = await lockHolder(join(directory, 'LOCK'));
    const holder = pid === undefined ? 'another process' : `process ${pid}`;
    return new GalleonError(
      'STORAGE_PATH_LOCKED',
      `the storage path ${join(directory, '..')} is in use by ${holder}: stop it first, or give another --storage-path`,
      { cause: error },
    );
  }
  return new GalleonError('CATALOG_DAMAGED', `the catalog ${directory} cannot be opened: ${causes(error)}`, {
    cause: error,
  });
}

function causes(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message;
}

function byName(a: { readonly name: string }, b: { readonly name: string }): number {
  return a.name < b.name ? -1 : 1;
}
