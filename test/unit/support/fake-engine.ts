import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { VolumeStore } from '../../../src/storage/index.ts';
import type { StoreEngine } from '../../../src/volume/index.ts';

const NO_OPERATIONS = { operations: 0, bytes: 0, errors: 0, latencyUsSum: 0, latency: new Array<number>(28).fill(0) };

/** Stores that hold nothing but one file each; creating or opening fails when asked to. */
export class FakeEngine implements StoreEngine {
  failCreate: Error | undefined;
  /** Asked for each directory that is opened. */
  failOpen: (directory: string) => Error | undefined = () => undefined;
  readonly openStores = new Set<string>();

  async create(directory: string): Promise<void> {
    if ((await readdir(directory)).length > 0) throw new Error('not empty');
    if (this.failCreate !== undefined) throw this.failCreate;
    await writeFile(join(directory, 'superblock'), 'fake');
  }

  open(directory: string): Promise<VolumeStore> {
    const failure = this.failOpen(directory);
    if (failure !== undefined) return Promise.reject(failure);
    if (this.openStores.has(directory)) return Promise.reject(new Error(`${directory} is open already`));
    this.openStores.add(directory);
    const store = {
      directory,
      sizeBytes: 1024 ** 2,
      blockSizeBytes: 4096,
      readOnly: false,
      recovery: {
        superblockGeneration: 1,
        usedOlderSuperblock: false,
        replayedEntries: 0,
        tornEntries: 0,
        damagedEntries: 0,
        durationUs: 1,
      },
      stats: () => ({ ...FAKE_STATS }),
      damage: () => [],
      checkpoint: () => Promise.resolve(),
      close: () => {
        this.openStores.delete(directory);
        return Promise.resolve();
      },
    };
    return Promise.resolve(store as unknown as VolumeStore);
  }
}

export const FAKE_STATS = {
  read: NO_OPERATIONS,
  write: NO_OPERATIONS,
  flush: NO_OPERATIONS,
  discard: NO_OPERATIONS,
  sizeBytes: 1024 ** 2,
  liveBytes: 0,
  segmentBytes: 0,
  freeSegmentBytes: 0,
  mapBytes: 0,
  segments: 0,
  freeSegments: 0,
  checksumFailures: 0,
  failuresByKind: {},
  scrubbedBytes: 0,
  scrubFinds: 0,
  scrubHealed: 0,
  checkpoints: 0,
  compactedBytes: 0,
  cacheHits: 0,
  cacheMisses: 0,
  nextLsn: 1,
  durableLsn: 0,
  checkpointLsn: 0,
  deltaEntries: 0,
  readOnlyReason: '',
  refusal: '',
};
