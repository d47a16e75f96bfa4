import { join } from 'node:path';
import { Level } from 'level';
import { GalleonError } from '../errors/index.ts';
import { SerialQueue } from '../lib/index.ts';
import type { JobId, JobRecord } from './job-record.ts';
import { lockHolder } from './lock-holder.ts';
import type { MountRecord } from './mount-record.ts';
import type { SpaceReserve } from './space-reserve.ts';
import type { StorageClass } from './storage-class.ts';
import type { VolumeName } from './volume-name.ts';
import type { VolumeRecord } from './volume-record.ts';

const FORMAT = 1;
const FORMAT_KEY = 'meta!format';
const VOLUME_PREFIX = 'volume!';
const CLASS_PREFIX = 'class!';
const MOUNT_PREFIX = 'mount!';
const JOB_PREFIX = 'job!';

/**
 * The daemon's metadata: volumes, storage classes, mounts and jobs, kept in LevelDB.
 *
 * Invariants: what the maps show is what is on disk (a write reaches the map only after LevelDB synced it). LevelDB's
 * kernel lock on `<directory>/LOCK` is what makes a storage path exclusive: it ends with the process, however it ends.
 * After a failed write LevelDB is opened anew: its log would go on behind a record that is cut short, and what follows one
 * cannot be read back.
 */
export class Catalog {
  readonly #directory: string;
  readonly #reserve: SpaceReserve | undefined;
  readonly #writes = new SerialQueue();
  #database: Level;
  readonly #volumes: Map<VolumeName, VolumeRecord>;
  readonly #classes: Map<string, StorageClass>;
  readonly #mounts: Map<VolumeName, MountRecord>;
  readonly #jobs: Map<JobId, JobRecord>;

  private constructor(
    directory: string,
    reserve: SpaceReserve | undefined,
    database: Level,
    volumes: Map<VolumeName, VolumeRecord>,
    classes: Map<string, StorageClass>,
    mounts: Map<VolumeName, MountRecord>,
    jobs: Map<JobId, JobRecord>,
  ) {
    this.#directory = directory;
    this.#reserve = reserve;
    this.#database = database;
    this.#volumes = volumes;
    this.#classes = classes;
    this.#mounts = mounts;
    this.#jobs = jobs;
  }

  /**
   * Opens the catalog, making an empty one where there is none, and holds its lock until `close`. On a full file system
   * `reserve` is given up.
   * @throws GalleonError STORAGE_PATH_LOCKED, CATALOG_DAMAGED, CATALOG_TOO_NEW, SYSTEM_NO_SPACE
   */
  static async open(directory: string, reserve?: SpaceReserve): Promise<Catalog> {
    const database = await openDatabase(directory, reserve);
    try {
      await checkFormat(database, directory);
      const volumes = await readAll<VolumeRecord>(database, VOLUME_PREFIX);
      const classes = await readAll<StorageClass>(database, CLASS_PREFIX);
      const mounts = await readAll<MountRecord>(database, MOUNT_PREFIX);
      const jobs = await readAll<JobRecord>(database, JOB_PREFIX);
      return new Catalog(
        directory,
        reserve,
        database,
        new Map(volumes.map((record) => [record.name, record])),
        new Map(classes.map((storageClass) => [storageClass.name, storageClass])),
        new Map(mounts.map((mount) => [mount.volume, mount])),
        new Map(jobs.map((job) => [job.id, job])),
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
    await this.#write((database) => database.put(VOLUME_PREFIX + record.name, JSON.stringify(record), { sync: true }));
    this.#volumes.set(record.name, record);
  }

  /** Durable when it returns. */
  async removeVolume(name: VolumeName): Promise<void> {
    await this.#write((database) => database.del(VOLUME_PREFIX + name, { sync: true }));
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
    const value = JSON.stringify(storageClass);
    await this.#write((database) => database.put(CLASS_PREFIX + storageClass.name, value, { sync: true }));
    this.#classes.set(storageClass.name, storageClass);
  }

  /** The mounts that stood, or were being made, when they were last written. */
  mounts(): MountRecord[] {
    return [...this.#mounts.values()];
  }

  /** Survives the process, not a power cut, which ends mounts as well. */
  async putMount(record: MountRecord): Promise<void> {
    await this.#write((database) => database.put(MOUNT_PREFIX + record.volume, JSON.stringify(record)));
    this.#mounts.set(record.volume, record);
  }

  /** As durable as putMount(). */
  async removeMount(volume: VolumeName): Promise<void> {
    await this.#write((database) => database.del(MOUNT_PREFIX + volume));
    this.#mounts.delete(volume);
  }

  jobs(): JobRecord[] {
    return [...this.#jobs.values()];
  }

  job(id: JobId): JobRecord | undefined {
    return this.#jobs.get(id);
  }

  /** Survives the process, not a power cut: a job that is set back a little does some of its work again. */
  async putJob(record: JobRecord): Promise<void> {
    await this.#write(async (database) => await database.put(JOB_PREFIX + record.id, JSON.stringify(record)));
    this.#jobs.set(record.id, record);
  }

  /** As durable as putJob(). */
  async removeJob(id: JobId): Promise<void> {
    await this.#write(async (database) => await database.del(JOB_PREFIX + id));
    this.#jobs.delete(id);
  }

  /** Gives the lock back. Idempotent. */
  async close(): Promise<void> {
    await this.#writes.idle();
    await this.#database.close();
  }

  /** @throws GalleonError SYSTEM_NO_SPACE, CATALOG_UNAVAILABLE; then the map and the disk are as before */
  async #write(change: (database: Level) => Promise<void>): Promise<void> {
    await this.#writes.run('', async () => {
      try {
        await change(this.#database);
      } catch {
        await this.#database.close();
        await this.#reserve?.release();
        this.#database = await openDatabase(this.#directory, this.#reserve);
        await change(this.#database).catch((error: unknown) => {
          throw writeFailure(this.#directory, error);
        });
      }
      await this.#reserve?.restore();
    });
  }
}

async function openDatabase(directory: string, reserve: SpaceReserve | undefined): Promise<Level> {
  const database = new Level(directory);
  try {
    await database.open();
  } catch (error) {
    if (reserve === undefined || !isNoSpace(error)) throw await openFailure(directory, error);
    await reserve.release();
    return await openDatabase(directory, undefined);
  }
  return database;
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
  if (isNoSpace(error)) return noSpace(directory, error);
  return new GalleonError('CATALOG_DAMAGED', `the catalog ${directory} cannot be opened: ${causes(error)}`, {
    cause: error,
  });
}

function writeFailure(directory: string, error: unknown): GalleonError {
  if (isNoSpace(error)) return noSpace(directory, error);
  return new GalleonError('CATALOG_UNAVAILABLE', `the catalog ${directory} cannot be written: ${causes(error)}`, {
    cause: error,
  });
}

function noSpace(directory: string, error: unknown): GalleonError {
  return new GalleonError('SYSTEM_NO_SPACE', `no space is left for the catalog ${directory}: free some and try again`, {
    cause: error,
  });
}

/** LevelDB has no codes: its message ends with what strerror says. */
function isNoSpace(error: unknown): boolean {
  return causes(error).includes('No space left on device');
}

function causes(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message;
}

function byName(a: { readonly name: string }, b: { readonly name: string }): number {
  return a.name < b.name ? -1 : 1;
}
