import { GalleonError } from '../errors/index.ts';
import {
  addon,
  type Damage,
  type NativeOpened,
  type NativeProcessOptions,
  type RecoveryReport,
  type ScrubPosition,
  type ScrubStep,
  type StoreHandle,
  type StoreStats,
} from './native.ts';
import { settled } from './native-error.ts';

export interface CreateOptions {
  /** 16 bytes; a UUID. */
  readonly volumeId: Uint8Array;
  /** 1 MiB to 64 TiB, a multiple of the block size. */
  readonly sizeBytes: number;
  /** 4096 (default), 8192, 16384, 32768 or 65536. */
  readonly blockSizeBytes?: number;
  /** Payload bytes a segment; by default chosen by size. */
  readonly segmentSizeBytes?: number;
}

export interface OpenOptions {
  readonly readOnly?: boolean;
  /** Journal bytes between two checkpoints; by default chosen by size. */
  readonly checkpointBytes?: number;
}

/** The handles of open stores, for the other files of this folder. */
const handles = new WeakMap<VolumeStore, StoreHandle>();

export function handleOf(store: VolumeStore): StoreHandle {
  const handle = handles.get(store);
  if (handle === undefined) throw new TypeError('not a store that VolumeStore.open() returned');
  return handle;
}

const DEFAULT_BLOCK_SIZE_BYTES = 4096;
const SCRUB_START: ScrubPosition = { phase: 0, at: 0, slot: 0, endSegment: 0, suspects: [] };

/**
 * Sets the memory that all stores of this process share, and the threads that serve their mounts. Once a process, before
 * the first open; without it the defaults are 256 MiB and one thread a core.
 */
export function configureStorage(options: NativeProcessOptions): void {
  addon().configure(options);
}

/**
 * One volume's store, in one directory. Offsets and lengths are in bytes and need no alignment. All operations may run at
 * once; each buffer is borrowed until its promise settles.
 */
export class VolumeStore {
  readonly directory: string;
  /** 16 bytes. */
  readonly volumeId: Uint8Array;
  readonly sizeBytes: number;
  readonly blockSizeBytes: number;
  /** What opening found and repaired. */
  readonly recovery: RecoveryReport;
  readonly #handle: StoreHandle;
  #closing: Promise<void> | undefined;

  private constructor(directory: string, opened: NativeOpened) {
    this.directory = directory;
    this.volumeId = opened.volumeId;
    this.sizeBytes = opened.sizeBytes;
    this.blockSizeBytes = opened.blockSizeBytes;
    this.recovery = opened.recovery;
    this.#handle = opened.handle;
    handles.set(this, opened.handle);
  }

  /**
   * Makes a new, empty, durable store. The directory must exist and be empty; on failure it is left empty again.
   *
   * @throws GalleonError STORE_EXISTS, STORE_INVALID_SIZE, STORE_INVALID_BLOCK_SIZE, STORE_LOCKED, STORE_NO_SPACE, STORE_IO
   */
  static async create(directory: string, options: CreateOptions): Promise<void> {
    const { volumeId, sizeBytes, blockSizeBytes = DEFAULT_BLOCK_SIZE_BYTES, segmentSizeBytes = 0 } = options;
    await settled(`creating a volume store in ${directory}`, () =>
      addon().storeCreate(directory, { volumeId, sizeBytes, blockSizeBytes, segmentSizeBytes }),
    );
  }

  /**
   * Recovers and opens a store. On failure nothing on disk was changed.
   *
   * @throws GalleonError STORE_NOT_FOUND, STORE_LOCKED, STORE_SUPERBLOCK_DAMAGED, STORE_DAMAGED, STORE_FORMAT_NEWER, STORE_IO
   */
  static async open(directory: string, options: OpenOptions = {}): Promise<VolumeStore> {
    const { readOnly = false, checkpointBytes = 0 } = options;
    const opened = await settled(`opening the volume store in ${directory}`, () =>
      addon().storeOpen(directory, { readOnly, checkpointBytes }),
    );
    return new VolumeStore(directory, opened);
  }

  /** Read-only as opened, or since a flush failed: stats().readOnlyReason says why. */
  get readOnly(): boolean {
    return addon().storeReadOnly(this.#handle);
  }

  /** Fills all of `into`, with zeros where nothing was written. Every block is verified: damage is STORE_IO. */
  async read(offsetBytes: number, into: Uint8Array): Promise<void> {
    await this.#settled('reading', () => addon().storeRead(this.#handle, offsetBytes, into));
  }

  /** Once it resolves the data survives the death of this process; with `durable` power loss too. */
  async write(offsetBytes: number, from: Uint8Array, options: { readonly durable?: boolean } = {}): Promise<void> {
    const { durable = false } = options;
    await this.#settled('writing', () => addon().storeWrite(this.#handle, offsetBytes, from, durable));
  }

  /** Once it resolves, whatever was acknowledged before the call is durable. */
  async flush(): Promise<void> {
    await this.#settled('flushing', () => addon().storeFlush(this.#handle));
  }

  /** The range reads as zeros afterwards and gives its whole blocks back. Durable after the next flush. */
  async discard(offsetBytes: number, lengthBytes: number): Promise<void> {
    await this.#settled('discarding', () => addon().storeDiscard(this.#handle, offsetBytes, lengthBytes));
  }

  /** The first offset from `offsetBytes` on that holds data, or a hole (the end counts as one); undefined: none. */
  async seek(offsetBytes: number, wanted: 'data' | 'hole'): Promise<number | undefined> {
    const found = await this.#settled('seeking', () => addon().storeSeek(this.#handle, offsetBytes, wanted === 'data'));
    return found < 0 ? undefined : found;
  }

  async checkpoint(): Promise<void> {
    await this.#settled('checkpointing', () => addon().storeCheckpoint(this.#handle));
  }

  /** Rewrites sealed segments whose live share is at most `liveShareMax` (0 to 1); resolves to the bytes rewritten. */
  async compact(liveShareMax: number): Promise<number> {
    return this.#settled('compacting', () => addon().storeCompact(this.#handle, liveShareMax));
  }

  /**
   * One step of a scrub, from `position` (absent: from the start): verifies about `bytesMax` bytes against the medium, and heals
   * what another copy allows.
   */
  async scrub(position: ScrubPosition | undefined, bytesMax: number): Promise<ScrubStep> {
    return await this.#settled('scrubbing', () => addon().storeScrub(this.#handle, position ?? SCRUB_START, bytesMax));
  }

  /** Cheap: counters kept in memory. Also after close(): the last ones. */
  stats(): StoreStats {
    return addon().storeStats(this.#handle);
  }

  /** Bytes of live data. */
  allocatedBytes(): number {
    return addon().storeAllocatedBytes(this.#handle);
  }

  damage(): readonly Damage[] {
    return addon().storeDamage(this.#handle);
  }

  /**
   * Waits for what is in flight, checkpoints, and gives the directory free. Closing twice is closing once.
   *
   * @throws GalleonError STORE_MOUNTED while it is mounted: it stays open
   */
  async close(): Promise<void> {
    this.#closing ??= this.#close();
    await this.#closing;
  }

  async #close(): Promise<void> {
    try {
      await this.#settled('closing', () => addon().storeClose(this.#handle));
    } catch (error) {
      if (error instanceof GalleonError && error.code === 'STORE_MOUNTED') this.#closing = undefined;
      throw error;
    }
  }

  async #settled<T>(doing: string, call: () => Promise<T>): Promise<T> {
    return settled(`${doing} ${this.directory}`, call);
  }
}
