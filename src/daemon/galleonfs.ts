import type { Catalog } from '../catalog/index.ts';
import { GalleonError } from '../errors/index.ts';
import type { Jobs } from '../job/index.ts';
import { VolumeFile, type CreateVolumeRequest, type Volume, type Volumes } from '../volume/index.ts';
import { DEFAULT_SCRUB_RATE, SCRUB } from '../scrub/index.ts';
import { viewJob, type JobView } from './job-view.ts';
import { openVolumes } from './open-daemon.ts';
import { viewVolumeDetails, type VolumeDetails } from './volume-view.ts';

export interface GalleonFSOptions {
  /** Where volumes and metadata are kept; made if missing. */
  readonly storagePath: string;
}

export type CreateVolumeOptions = Omit<CreateVolumeRequest, 'name' | 'sizeBytes' | 'mount'>;

interface Opened {
  readonly catalog: Catalog;
  readonly volumes: Volumes;
  readonly jobs: Jobs;
}

/**
 * GalleonFS inside your own program: the daemon's volumes and guarantees, without the daemon and without mounts.
 *
 * It holds the storage path exclusively from the first call to `close`, so a daemon cannot use the same one meanwhile
 * (STORAGE_PATH_LOCKED). Volumes are named by their name. Sizes and positions are in bytes, as `number`s: the largest
 * volume has 2^46.
 *
 * ```ts
 * const galleon = new GalleonFS({ storagePath: '/var/lib/galleonfs' });
 * await galleon.createVolume('database', 10 * 1024 ** 3);
 * await galleon.writeBlock('database', 0, new Uint8Array(4096), { durable: true });
 * await galleon.close();
 * ```
 */
export class GalleonFS implements AsyncDisposable {
  readonly #storagePath: string;
  #opening: Promise<Opened> | undefined;
  #closed = false;

  constructor({ storagePath }: GalleonFSOptions) {
    this.#storagePath = storagePath;
  }

  /**
   * Makes an empty volume; it is durable when this resolves.
   * @param sizeBytes 1 MiB to 64 TiB, a multiple of the block size (4096 unless given)
   * @throws GalleonError VOLUME_NAME_INVALID, VOLUME_EXISTS, VOLUME_SIZE_INVALID, VOLUME_SIZE_UNALIGNED,
   *   VOLUME_BLOCK_SIZE_INVALID, VOLUME_LABEL_INVALID, STORAGE_CLASS_NOT_FOUND, STORAGE_CLASS_UNSUPPORTED
   */
  async createVolume(name: string, sizeBytes: number, options: CreateVolumeOptions = {}): Promise<VolumeDetails> {
    const { volumes } = await this.#opened();
    return viewVolumeDetails(await volumes.create({ ...options, name, sizeBytes }), undefined, []);
  }

  /**
   * Sees that a volume can be used, and describes it. Opening is not needed before reading or writing.
   * @throws GalleonError VOLUME_NOT_FOUND, or why its store cannot be opened
   */
  async openVolume(name: string): Promise<VolumeDetails> {
    const { jobs } = await this.#opened();
    return viewVolumeDetails(await this.#usable(name), undefined, jobs.list());
  }

  /** Sorted by name. */
  async listVolumes(): Promise<VolumeDetails[]> {
    const { volumes, jobs } = await this.#opened();
    const records = jobs.list();
    return volumes.list().map((volume) => viewVolumeDetails(volume, undefined, records));
  }

  /** Deletes a volume and its data for good; durable when this resolves. @throws GalleonError VOLUME_NOT_FOUND */
  async deleteVolume(name: string): Promise<void> {
    const { volumes, jobs } = await this.#opened();
    const volume = volumes.get(name);
    await jobs.forget(volume.record.id);
    await volumes.delete(volume);
  }

  /**
   * Reads one block; zeros where nothing was written.
   * @throws GalleonError STORE_INVALID_RANGE beyond the end; STORE_IO when the block fails its checksum
   */
  async readBlock(name: string, blockNumber: number): Promise<Buffer> {
    const { store } = await this.#usable(name);
    const block = Buffer.alloc(store.blockSizeBytes);
    await store.read(offsetOf(blockNumber, store.blockSizeBytes, store.sizeBytes), block);
    return block;
  }

  /**
   * Writes one whole block. It survives the death of this process when this resolves; with `durable` also power loss.
   * `data` must not change before that.
   * @throws GalleonError STORE_INVALID_RANGE beyond the end or when `data` is not one block; STORE_NO_SPACE,
   *   STORE_READ_ONLY, STORE_IO
   */
  async writeBlock(
    name: string,
    blockNumber: number,
    data: Uint8Array,
    options: { readonly durable?: boolean } = {},
  ): Promise<void> {
    const { store } = await this.#usable(name);
    if (data.length !== store.blockSizeBytes) {
      throw new GalleonError(
        'STORE_INVALID_RANGE',
        `a block of volume "${name}" has ${store.blockSizeBytes} bytes, not ${data.length}`,
      );
    }
    await store.write(offsetOf(blockNumber, store.blockSizeBytes, store.sizeBytes), data, options);
  }

  /** A volume as a file with a position. @throws GalleonError VOLUME_NOT_FOUND, or why its store cannot be opened */
  async openVolumeFile(name: string): Promise<VolumeFile> {
    return new VolumeFile((await this.#usable(name)).store);
  }

  /**
   * Starts verifying a volume against its medium, in the background; jobs() tells how far it is and what it found.
   * @param options.rateBytesPerSecond at most so fast; default 100 MiB/s
   * @throws GalleonError VOLUME_NOT_FOUND, JOB_RUNNING, or why its store cannot be opened
   */
  async startScrub(name: string, options: { readonly rateBytesPerSecond?: number } = {}): Promise<JobView> {
    const { jobs } = await this.#opened();
    const { record } = await this.#usable(name);
    const { rateBytesPerSecond = DEFAULT_SCRUB_RATE } = options;
    return viewJob(await jobs.start(SCRUB, record, { rateBytesPerSecond }));
  }

  /** Long work, under way and ended, the latest first. One that `close` interrupts goes on with the next use of the storage path. */
  async jobs(): Promise<JobView[]> {
    const { jobs } = await this.#opened();
    return jobs.list().map(viewJob);
  }

  /** Resolves when it has ended. @throws GalleonError JOB_NOT_FOUND, JOB_ENDED */
  async cancelJob(id: string): Promise<JobView> {
    const { jobs } = await this.#opened();
    return viewJob(await jobs.cancel(id));
  }

  /** Finishes I/O, makes everything durable, and gives the storage path free. Idempotent. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    const opened = await this.#opening?.catch(() => undefined);
    if (opened === undefined) return;
    await opened.jobs.stop();
    try {
      await opened.volumes.close();
    } finally {
      await opened.catalog.close();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #usable(name: string): Promise<Volume> {
    const { volumes } = await this.#opened();
    const volume = volumes.get(name);
    await volumes.open(volume);
    return volume;
  }

  async #opened(): Promise<Opened> {
    if (this.#closed) throw new GalleonError('STORE_CLOSED', 'this GalleonFS is closed');
    this.#opening ??= open(this.#storagePath);
    try {
      return await this.#opening;
    } catch (error) {
      this.#opening = undefined; // The next call may find the storage path free.
      throw error;
    }
  }
}

async function open(storagePath: string): Promise<Opened> {
  const { catalog, volumes, jobs } = await openVolumes(storagePath);
  try {
    await volumes.recover();
    jobs.resume();
    return { catalog, volumes, jobs };
  } catch (error) {
    await catalog.close();
    throw error;
  }
}

/** @throws GalleonError STORE_INVALID_RANGE */
function offsetOf(blockNumber: number, blockSizeBytes: number, sizeBytes: number): number {
  const blocks = sizeBytes / blockSizeBytes;
  if (!Number.isSafeInteger(blockNumber) || blockNumber < 0 || blockNumber >= blocks) {
    throw new GalleonError(
      'STORE_INVALID_RANGE',
      `there is no block ${blockNumber}: the volume has blocks 0 to ${blocks - 1}`,
    );
  }
  return blockNumber * blockSizeBytes;
}
