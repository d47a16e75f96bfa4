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
declare const checkBrand: unique symbol;
/** An open store. Kept alive by the addon until storeClose(), also when nobody holds it. */
export interface StoreHandle {
  readonly [storeBrand]: never;
}
/** A served mount. Kept alive by the addon until it ends. */
export interface MountHandle {
  readonly [mountBrand]: never;
}

/** An offline check; holds the store's lock until checkEnd(). */
export interface CheckHandle {
  readonly [checkBrand]: never;
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
  /** By the `kind` of the damage. */
  readonly failuresByKind: Readonly<Record<string, number>>;
  readonly scrubbedBytes: number;
  readonly scrubFinds: number;
  readonly scrubHealed: number;
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
  /** Why the last write was refused, for want of space or descriptors, and the next may not be. Empty: it was not. */
  readonly refusal: string;
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

/** Where a scrub is: all there is to know to go on with it, also after a restart. Fit for JSON. */
export interface ScrubPosition {
  /** 0 tables, 1 segments, 2 map, 3 done. */
  readonly phase: number;
  readonly at: number;
  readonly slot: number;
  readonly endSegment: number;
  readonly suspects: readonly (readonly [segment: number, slot: number])[];
}

export interface ScrubFind extends Damage {
  /** From which copy it was put right; absent: it was not. */
  readonly healed?: string;
}

export interface ScrubStep {
  readonly position: ScrubPosition;
  readonly done: boolean;
  /** Of this step. */
  readonly doneBytes: number;
  /** Of a whole scrub, as of now. */
  readonly totalBytes: number;
  readonly finds: readonly ScrubFind[];
}

/** For the whole process. */
export interface NativeProcessOptions {
  /** The page cache all stores share. */
  readonly cacheBytes: number;
  /** 0: as many as the native half thinks right. */
  readonly fuseThreadsMax: number;
  /**
   * How requests in flight survive this process: `auto` has the kernel send them again where it can, `slots` keeps them in
   * deposited memory, which works everywhere. Settled for each mount when it is mounted, for its whole life.
   */
  readonly inFlight: 'auto' | 'slots';
}

/** What a check found. `note`: harmless; `error`: does not add up, no data is lost by it; `damage`: data is lost. */
export interface CheckFinding extends Damage {
  readonly severity: 'note' | 'error' | 'damage';
  /** What a repair does about it; absent: nothing. */
  readonly repair?: string;
}

export interface CheckReport {
  /** 16 bytes. */
  readonly volumeId: Uint8Array;
  readonly sizeBytes: number;
  readonly blockSizeBytes: number;
  /** Of the superblock that opening would use; 0: none can be used, and nothing else was checked. */
  readonly superblockGeneration: number;
  readonly checkpointLsn: number;
  readonly liveBlocks: number;
  readonly verifiedBlocks: number;
  readonly lostBlocks: number;
  readonly segments: number;
  readonly compactedSegments: number;
  readonly filesInUse: number;
  /** Opened since the checkpoint: found by their headers. */
  readonly filesReplayed: number;
  /** Free after the next checkpoint. */
  readonly filesPending: number;
  readonly filesFree: number;
  /** All files together. */
  readonly fileBytes: number;
  readonly mapPages: number;
  readonly mapPagesUsed: number;
  readonly mapPagesPending: number;
  readonly mapPagesFree: number;
  readonly stragglerEntries: number;
  /** Of the journal after the checkpoint: what opening would replay, and what it would pass over. */
  readonly replayEntries: number;
  readonly tornEntries: number;
  readonly readBytes: number;
  readonly durationUs: number;
  /** All findings; the first 1000 are in `findings`. */
  readonly notes: number;
  readonly errors: number;
  readonly damages: number;
  readonly findings: readonly CheckFinding[];
}

export interface NativeMountOptions {
  /** 16 lower-case hex digits that no other mount has: names its descriptors in the descriptor store. Empty: not deposited. */
  readonly key: string;
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

/** A descriptor an earlier process deposited; `mount-<key>-<index>`, index 0 the connection and others its clones. */
export interface InheritedDescriptor {
  readonly name: string;
  readonly fd: number;
}

/** What a later process needs to go on with a mount, beside its descriptors; and whether it can. */
export interface NativeMountState {
  /** "major:minor" in mountinfo. */
  readonly deviceId: string;
  /** What was settled with the kernel, which it tells once: opaque, and readable by later versions. */
  readonly negotiated: string;
  /** `none`: nothing is deposited, so the mount ends with this process. */
  readonly inFlight: 'resend' | 'slots' | 'none';
}

export interface NativeInheritedMount {
  /** All that were inherited for the key, the connection first. */
  readonly descriptors: readonly number[];
  readonly deviceId: string;
  readonly negotiated: string;
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
  /** Once a process, before the first store is opened. */
  configure(options: NativeProcessOptions): void;

  /**
   * What the descriptor store handed to this process; each is then adopted or dropped. Once, before anything is mounted: a
   * second call returns none. Deposited request slots stay with the native half.
   */
  inheritedDescriptors(): InheritedDescriptor[];
  /** Whether there is a descriptor store (NOTIFY_SOCKET). */
  descriptorStoreKind(): 'none' | 'socket';
  /** Tells it how this process is: "READY=1", "WATCHDOG=1". False when it could not be told. */
  notify(text: string): boolean;
  /** Gives up what was inherited for `key`: files of its mount fail; the caller unmounts it lazily. Unknown keys are fine. */
  dropInherited(key: string): void;
  /**
   * Every inherited mount was adopted or dropped: the old request slots go, and what was forgotten is dropped. Throws while a
   * mountAdopt() is under way.
   */
  adoptionFinished(): void;

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
  /** Goes on from `position` until about `bytesMax` bytes are verified, or the scrub is done. */
  storeScrub(store: StoreHandle, position: ScrubPosition, bytesMax: number): Promise<ScrubStep>;
  storeStats(store: StoreHandle): StoreStats;
  storeAllocatedBytes(store: StoreHandle): number;
  storeReadOnly(store: StoreHandle): boolean;
  storeDamage(store: StoreHandle): Damage[];

  /** Locks a store that nobody has open. Without `writable` its files are opened so that nothing can be written. */
  checkBegin(directory: string, writable: boolean): Promise<CheckHandle>;
  checkRun(check: CheckHandle): Promise<CheckReport>;
  /** Does what the findings of the last run say in `repair`. */
  checkRepair(check: CheckHandle): Promise<void>;
  checkProgress(check: CheckHandle): { doneBytes: number; totalBytes: number };
  /** The run under way rejects with OPERATION_CANCELLED. */
  checkCancel(check: CheckHandle): void;
  /** Gives the lock back; not while a call is under way. */
  checkEnd(check: CheckHandle): void;

  /**
   * Mounts and serves. The store stays open until the mount has ended. `lost` is called once, and the mount has ended, when
   * somebody unmounts it from outside; not after mountStop().
   */
  mountStart(store: StoreHandle, options: NativeMountOptions, lost: () => void): Promise<MountHandle>;
  /**
   * Serves on a mount that an earlier process mounted and served, after answering what was in flight when it went. For the rest
   * as mountStart(). On failure its descriptors are closed, but still deposited: dropInherited().
   */
  mountAdopt(
    store: StoreHandle,
    options: NativeMountOptions,
    inherited: NativeInheritedMount,
    lost: () => void,
  ): Promise<MountHandle>;
  /** The same for the mount's life. */
  mountState(mount: MountHandle): NativeMountState;
  /**
   * Stops serving all mounts, once the requests under way are answered, and leaves them mounted and deposited for a later
   * process. Then stores can be closed and nothing can be mounted.
   */
  mountsRelease(): Promise<void>;
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
