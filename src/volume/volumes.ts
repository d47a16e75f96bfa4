import {
  DEFAULT_MOUNT_PREFERENCES,
  newVolumeId,
  parseVolumeName,
  type Catalog,
  type MountWish,
  type VolumeRecord,
} from '../catalog/index.ts';
import { GalleonError, toGalleonError } from '../errors/index.ts';
import { formatByteSize, SerialQueue, type Log } from '../lib/index.ts';
import { logRecovery } from './log-recovery.ts';
import { resolveStorageClass } from './storage-classes.ts';
import type { StoreDirectories } from './store-directories.ts';
import type { StoreEngine } from './store-engine.ts';
import { BLOCK_SIZE_BYTES_DEFAULT, checkGeometry, type VolumeGeometry } from './volume-geometry.ts';
import { checkLabels } from './volume-labels.ts';
import { Volume } from './volume.ts';

export interface CreateVolumeRequest {
  readonly name: string;
  readonly sizeBytes: number;
  /** Default 4096. */
  readonly blockSizeBytes?: number | undefined;
  /** Default: the default class. */
  readonly storageClass?: string | undefined;
  readonly labels?: Readonly<Record<string, string>> | undefined;
  /** Default: mounted at start, with the default preferences. */
  readonly mount?: MountWish | undefined;
}

interface VolumesParts {
  readonly catalog: Pick<Catalog, 'volumes' | 'volume' | 'putVolume' | 'removeVolume' | 'storageClasses'>;
  readonly directories: Pick<StoreDirectories, 'path' | 'make' | 'remove' | 'names'>;
  readonly engine: StoreEngine;
  readonly log: Log;
  readonly now?: () => Date;
}

/**
 * The volumes of one storage path: which there are, and the way of each from creation to deletion.
 *
 * Invariant: a store directory exists only for a record in the catalog. An intent (`creating`, `deleting`) is durable
 * before the directory is touched and is settled after it, so that a crash at any instant leaves nothing half-made:
 * `recover` undoes creations and finishes deletions. What cannot be settled keeps its intent, and so its name, until the
 * next start or the next creation under that name.
 */
export class Volumes {
  readonly #parts: VolumesParts;
  readonly #byName = new Map<string, Volume>();
  readonly #turns = new SerialQueue();

  constructor(parts: VolumesParts) {
    this.#parts = parts;
  }

  /** Settles what a crash interrupted and opens every volume; one that fails is kept, with the reason. */
  async recover(): Promise<void> {
    await this.settle();
    await Promise.all(this.list().map(async (volume) => await this.open(volume).catch(() => undefined)));
  }

  /** Settles what a crash interrupted; opens nothing yet. */
  async settle(): Promise<void> {
    for (const record of this.#parts.catalog.volumes()) {
      if (record.state === 'available') {
        this.#byName.set(record.name, new Volume(record));
      } else {
        await this.#settle(record).catch(() => undefined);
      }
    }
    await this.#warnAboutStrangers();
  }

  /** Sorted by name. */
  list(): Volume[] {
    return [...this.#byName.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** @throws GalleonError VOLUME_NAME_INVALID, VOLUME_NOT_FOUND */
  get(name: string): Volume {
    const volume = this.#byName.get(parseVolumeName(name));
    if (volume !== undefined) return volume;
    throw new GalleonError(
      'VOLUME_NOT_FOUND',
      `there is no volume "${name}"; "galleonfs volume list" shows those there are`,
      {
        details: { volume: name },
      },
    );
  }

  /** Refuses what `create` would refuse before it touches anything; the same errors. */
  check(request: CreateVolumeRequest): void {
    parseVolumeName(request.name);
    this.#checkCreation(request);
    checkLabels(request.labels ?? {});
    resolveStorageClass(this.#parts.catalog, request.storageClass);
  }

  /**
   * Makes and opens an empty volume; it is durable when this returns.
   * @throws GalleonError VOLUME_NAME_INVALID, VOLUME_EXISTS, VOLUME_SIZE_INVALID, VOLUME_SIZE_UNALIGNED,
   *   VOLUME_BLOCK_SIZE_INVALID, VOLUME_LABEL_INVALID, STORAGE_CLASS_NOT_FOUND, STORAGE_CLASS_UNSUPPORTED, or what the
   *   store says (no space, no permission). Nothing is left of a volume that could not be made.
   */
  async create(request: CreateVolumeRequest): Promise<Volume> {
    const name = parseVolumeName(request.name);
    return await this.#turns.run(name, async () => {
      const geometry = this.#checkCreation(request);
      const leftover = this.#parts.catalog.volume(name);
      if (leftover !== undefined) await this.#settle(leftover);
      const record: VolumeRecord = {
        id: newVolumeId(),
        name,
        ...geometry,
        storageClass: resolveStorageClass(this.#parts.catalog, request.storageClass).name,
        labels: checkLabels(request.labels ?? {}),
        createdAt: (this.#parts.now?.() ?? new Date()).toISOString(),
        state: 'creating',
        mount: request.mount ?? { atStart: true, preferences: DEFAULT_MOUNT_PREFERENCES },
      };
      const volume = await this.#make(record, geometry);
      this.#byName.set(name, volume);
      this.#parts.log.info({ volume: name, id: record.id, ...geometry }, `created volume "${name}"`);
      return volume;
    });
  }

  /** Opens the volume's store if it is not open. @throws GalleonError why it cannot be opened; also kept in `failure`. */
  async open(volume: Volume): Promise<void> {
    if (volume.openStore !== undefined) return;
    await this.#turns.run(volume.name, async () => {
      if (volume.openStore === undefined) await this.#open(volume);
    });
  }

  /** Changes how the volume is mounted at the next start; durable when it returns. */
  async setMountWish(volume: Volume, mount: MountWish): Promise<void> {
    await this.#turns.run(volume.name, async () => {
      this.#assertKnown(volume);
      const record = { ...volume.record, mount };
      await this.#parts.catalog.putVolume(record);
      volume.describeBy(record);
    });
  }

  /**
   * Closes and removes the volume and all its data; it is gone for good, durably, when this returns.
   * The volume must not be mounted. @throws GalleonError VOLUME_NOT_FOUND, CATALOG_UNAVAILABLE, SYSTEM_ERROR
   */
  async delete(volume: Volume): Promise<void> {
    await this.#turns.run(volume.name, async () => {
      this.#assertKnown(volume);
      const record: VolumeRecord = { ...volume.record, state: 'deleting' };
      await this.#parts.catalog.putVolume(record);
      this.#byName.delete(volume.name);
      await volume.close().catch((error: unknown) => {
        this.#parts.log.warn({ volume: volume.name, error }, 'closing the store of a volume to be deleted failed');
      });
      await this.#forget(record);
      this.#parts.log.info({ volume: record.name, id: record.id }, `deleted volume "${record.name}"`);
    });
  }

  /** Makes the next opening of every store short. A failure shows again when the store is closed. */
  async checkpoint(): Promise<void> {
    await Promise.allSettled(this.list().map(async ({ openStore }) => await openStore?.checkpoint()));
  }

  /** Finishes I/O, checkpoints and closes every store. @throws GalleonError the first failure, after trying them all. */
  async close(): Promise<void> {
    const results = await Promise.allSettled(this.list().map(async (volume) => await volume.close()));
    this.#byName.clear();
    const failed = results.find((result) => result.status === 'rejected');
    if (failed !== undefined) throw toGalleonError(failed.reason, 'a volume store did not close cleanly');
  }

  /** Of two deletions the second must not meet a new volume of that name, nor a change a deleted one. */
  #assertKnown(volume: Volume): void {
    if (this.get(volume.name) === volume) return;
    throw new GalleonError('VOLUME_NOT_FOUND', `that volume "${volume.name}" was deleted; there is another one now`, {
      details: { volume: volume.name },
    });
  }

  #checkCreation(request: CreateVolumeRequest): VolumeGeometry {
    const existing = this.#byName.get(request.name)?.record;
    if (existing !== undefined) {
      throw new GalleonError(
        'VOLUME_EXISTS',
        `volume "${request.name}" exists already (${formatByteSize(existing.sizeBytes)}, created ${existing.createdAt}): choose another name or delete it first`,
        { details: { volume: request.name } },
      );
    }
    return checkGeometry(request.sizeBytes, request.blockSizeBytes ?? BLOCK_SIZE_BYTES_DEFAULT);
  }

  async #open(volume: Volume): Promise<void> {
    const { directories, engine, log } = this.#parts;
    const { id, name } = volume.record;
    try {
      const store = await engine.open(directories.path(id));
      volume.opened(store);
      logRecovery(log, name, store);
    } catch (error) {
      const failure = toGalleonError(error, `volume "${name}" cannot be opened`);
      volume.failed(failure);
      log.error({ volume: name, id, code: failure.code, reason: failure.message }, `volume "${name}" failed to open`);
      throw failure;
    }
  }

  async #make(record: VolumeRecord, geometry: VolumeGeometry): Promise<Volume> {
    const { catalog, directories, engine } = this.#parts;
    try {
      await catalog.putVolume(record);
      const directory = await directories.make(record.id);
      await engine.create(directory, record.id, geometry);
      const volume = new Volume({ ...record, state: 'available' });
      volume.opened(await engine.open(directory));
      await catalog.putVolume(volume.record).catch(async (error: unknown) => {
        await volume.close();
        throw error;
      });
      return volume;
    } catch (error) {
      await this.#undo(record);
      throw cannotCreate(record.name, toGalleonError(error));
    }
  }

  /** If even this fails the intent stays, and the next start, or the next creation under the name, tries again. */
  async #undo(record: VolumeRecord): Promise<void> {
    try {
      // A commit that failed may have reached the disk all the same: its record must not outlive the store.
      await this.#parts.catalog.putVolume(record);
      await this.#forget(record);
    } catch (error) {
      this.#parts.log.error({ volume: record.name, error }, 'a failed creation could not be undone yet');
    }
  }

  async #settle(record: VolumeRecord): Promise<void> {
    const { log } = this.#parts;
    const fields = { volume: record.name, id: record.id };
    const what = `the ${record.state === 'creating' ? 'creation' : 'deletion'} of volume "${record.name}" that was interrupted`;
    try {
      await this.#forget(record);
      log.warn(fields, `${record.state === 'creating' ? 'undid' : 'finished'} ${what}`);
    } catch (error) {
      log.error({ ...fields, error }, `${what} cannot be settled yet`);
      throw error;
    }
  }

  async #forget(record: VolumeRecord): Promise<void> {
    await this.#parts.directories.remove(record.id);
    await this.#parts.catalog.removeVolume(record.name);
  }

  /** Directories no record speaks of are left alone: they may be all that is left of somebody's data. */
  async #warnAboutStrangers(): Promise<void> {
    const known = new Set<string>(this.#parts.catalog.volumes().map(({ id }) => id));
    for (const name of await this.#parts.directories.names()) {
      if (!known.has(name))
        this.#parts.log.warn({ directory: name }, `volumes/${name} belongs to no volume; left as it is`);
    }
  }
}

function cannotCreate(name: string, error: GalleonError): GalleonError {
  const reason = error.kind === 'no_space' ? 'there is no space left in the storage path' : error.message;
  return new GalleonError(error.code, `volume "${name}" cannot be created: ${reason}; nothing of it was left behind`, {
    cause: error,
  });
}
