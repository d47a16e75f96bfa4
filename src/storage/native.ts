/**
 * The seam: everything that crosses between TypeScript and the native half, on this side. Its mirror is native/napi/.
 *
 * Sizes and offsets are bytes as numbers (a volume ends below 2^53). A buffer handed over is borrowed until the promise
 * settles: do not touch it before. Rejections are {@link NativeError}s; native-error.ts makes GalleonErrors of them.
 */
import { createRequire } from 'node:module';
import { GalleonError } from '../errors/index.ts';

declare const storeBrand: unique symbol;
declare const mountBrand: unique symbol;
/** An open store. Kept alive by the addon until storeClose(), also when nobody holds it. */
export interface StoreHandle {
  readonly [storeBrand]: never;
}
/** A served mount. Kept alive by the addon until it ends. */
export interface MountHandle {
  readonly [mountBrand]: never;
}

/** What a failed native call rejects with: `code` is one of src/errors, `errno` positive. */
export interface NativeError extends Error {
  readonly code: string;
  readonly errno: number;
}

export interface NativeCreateOptions {
  /** 16 bytes. */
  readonly volumeId: Uint8Array;
  readonly sizeBytes: number;
  readonly blockSizeBytes: number;
  /** 0: chosen by size. */
  readonly segmentSizeBytes: number;
}

export interface RecoveryReport {
  readonly superblockGeneration: number;
  readonly usedOlderSuperblock: boolean;
  readonly replayedEntries: number;
  /** Unfinished writes at the journal's end, never acknowledged: expected after a crash. */
  readonly tornEntries: number;
  /** Entries that had been durable and are not valid any more: never expected. */
  readonly damagedEntries: number;
  readonly durationUs: number;
}

export interface NativeOpened {
  readonly handle: StoreHandle;
  /** 16 bytes. */
  readonly volumeId: Uint8Array;
  readonly sizeBytes: number;
  readonly blockSizeBytes: number;
  readonly recovery: RecoveryReport;
}

export interface OperationStats {
  readonly operations: number;
  readonly bytes: number;
  readonly errors: number;
  readonly latencyUsSum: number;
  /** Bucket i counts operations that took less than 2^i microseconds and not less than 2^(i-1); the last all others. */
  readonly latency: readonly number[];
}

export interface StoreStats {
  readonly read: OperationStats;
  readonly write: OperationStats;
  readonly flush: OperationStats;
  readonly discard: OperationStats;
  readonly sizeBytes: number;
  readonly liveBytes: number;
  readonly segmentBytes: number;
  readonly freeSegmentBytes: number;
  readonly mapBytes: number;
  readonly segments: number;
  readonly freeSegments: number;
  readonly checksumFailures: number;
  readonly checkpoints: number;
  readonly compactedBytes: number;
  readonly cacheHits: number;
  readonly cacheMisses: number;
  readonly nextLsn: number;
  readonly durableLsn: number;
  readonly checkpointLsn: number;
  readonly deltaEntries: number;
  /** Empty: writable. */
  readonly readOnlyReason: string;
}

/** A piece of damage found and not returned as data. */
export interface Damage {
  readonly kind: string;
  readonly file: string;
  readonly fileOffsetBytes: number;
  /** Absent where unknown. */
  readonly volumeOffsetBytes?: number;
  readonly segment: number;
  readonly slot: number;
  readonly detail: string;
}

export interface NativeMountOptions {
  /** An existing, empty directory that nothing is mounted on. */
  readonly mountPoint: string;
  readonly readOnly: boolean;
  /** Every write is durable before it is acknowledged. */
  readonly sync: boolean;
  readonly allowOther: boolean;
  readonly uid: number;
  readonly gid: number;
  readonly fileMode: number;
  readonly directoryMode: number;
  readonly truncate: 'discard' | 'ignore' | 'refuse';
  readonly cacheMode: 'direct' | 'cached';
  /** README.txt and .galleonfs_metadata, at first. */
  readonly readme: string;
  readonly metadata: string;
}

/** Requests of one kind that the kernel sent; errors are replies with an errno, also the ENOENT of a lookup. */
export interface RequestStats {
  readonly requests: number;
  readonly errors: number;
}

export interface NativeMountStats {
  readonly read: RequestStats;
  readonly write: RequestStats;
  readonly flush: RequestStats;
  readonly discard: RequestStats;
  readonly metadata: RequestStats;
  readonly other: RequestStats;
  readonly bytesRead: number;
  readonly bytesWritten: number;
  readonly inFlight: number;
}

export interface Addon {
  /** Once a process, before the first store is opened: the page cache all stores share, and the FUSE threads. */
  configure(options: { cacheBytes: number; fuseThreadsMax: number }): void;

  storeCreate(directory: string, options: NativeCreateOptions): Promise<void>;
  storeOpen(directory: string, options: { readOnly: boolean; checkpointBytes: number }): Promise<NativeOpened>;
  /** Waits for what is in flight. What is started after this call fails with STORE_CLOSED. */
  storeClose(store: StoreHandle): Promise<void>;
  storeRead(store: StoreHandle, offset: number, into: Uint8Array): Promise<void>;
  storeWrite(store: StoreHandle, offset: number, from: Uint8Array, durable: boolean): Promise<void>;
  storeFlush(store: StoreHandle): Promise<void>;
  storeDiscard(store: StoreHandle, offset: number, length: number): Promise<void>;
  /** Resolves to -1 where nothing follows. */
  storeSeek(store: StoreHandle, offset: number, wantData: boolean): Promise<number>;
  storeCheckpoint(store: StoreHandle): Promise<void>;
  /** Resolves to the bytes rewritten. */
  storeCompact(store: StoreHandle, liveShareMax: number): Promise<number>;
  storeStats(store: StoreHandle): StoreStats;
  storeAllocatedBytes(store: StoreHandle): number;
  storeReadOnly(store: StoreHandle): boolean;
  storeDamage(store: StoreHandle): Damage[];

  /**
   * Mounts and serves. The store stays open until the mount has ended. `lost` is called once, and the mount has ended, when
   * somebody unmounts it from outside; not after mountStop().
   */
  mountStart(store: StoreHandle, options: NativeMountOptions, lost: () => void): Promise<MountHandle>;
  /** Readers see the change at their next open. */
  mountSetFiles(mount: MountHandle, readme: string, metadata: string): void;
  /**
   * Unmounts, and resolves when nothing is served any more. While files are open it rejects with FUSE_BUSY and goes on, or,
   * `lazy`, resolves when the mount is out of the tree: those files then work until the store is closed, and fail after.
   */
  mountStop(mount: MountHandle, lazy: boolean): Promise<void>;
  /** Also after the end: the last ones. */
  mountStats(mount: MountHandle): NativeMountStats;
  /** Unmounts what is at `path` if it is one of ours, served by nobody here. Nothing there: resolves. */
  unmountPath(path: string, lazy: boolean): Promise<void>;
}

const require = createRequire(import.meta.url);
let loaded: Addon | undefined;

/** @throws GalleonError `ADDON_UNAVAILABLE` when it was not built, or not for this machine. */
export function addon(): Addon {
  loaded ??= load('../../build/Release/galleonfs.node');
  return loaded;
}

function load(path: string): Addon {
  try {
    return require(path) as Addon;
  } catch (cause) {
    throw new GalleonError('ADDON_UNAVAILABLE', 'the native half cannot be loaded; run: npm run build', { cause });
  }
}
