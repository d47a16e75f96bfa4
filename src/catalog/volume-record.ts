import { randomUUID } from 'node:crypto';
import type { Brand, ByteCount } from '../lib/index.ts';
import type { VolumeName } from './volume-name.ts';

/** A random (version 4) UUID; names the volume's store directory, and is written into the store itself. */
export type VolumeId = Brand<string, 'VolumeId'>;

/** What `truncate` below the volume's size does to `data`; its size never changes. */
export type TruncatePolicy = 'discard' | 'ignore' | 'refuse';

export interface MountPreferences {
  readonly readOnly: boolean;
  /** Every write is durable before it returns. */
  readonly sync: boolean;
  readonly allowOther: boolean;
  /** Owner of the files; absent: the user the daemon runs as. */
  readonly uid?: number;
  readonly gid?: number;
  /** Permission bits of `data`, such as 0o600. */
  readonly mode: number;
  readonly truncate: TruncatePolicy;
}

export const DEFAULT_MOUNT_PREFERENCES: MountPreferences = Object.freeze({
  readOnly: false,
  sync: false,
  allowOther: false,
  mode: 0o600,
  truncate: 'discard',
});

/** How the daemon mounts a volume when it starts. */
export interface MountWish {
  readonly atStart: boolean;
  /** Absolute; absent: `<mount-point>/<name>`. */
  readonly path?: string;
  readonly preferences: MountPreferences;
}

/**
 * `creating` and `deleting` are intents written before the store's directory is touched; the next start undoes a
 * creation and finishes a deletion it finds.
 */
export type VolumeRecordState = 'creating' | 'available' | 'deleting';

export interface VolumeRecord {
  readonly id: VolumeId;
  readonly name: VolumeName;
  readonly sizeBytes: ByteCount;
  readonly blockSizeBytes: ByteCount;
  readonly storageClass: string;
  readonly labels: Readonly<Record<string, string>>;
  /** ISO 8601, UTC. */
  readonly createdAt: string;
  readonly state: VolumeRecordState;
  readonly mount: MountWish;
}

export function newVolumeId(): VolumeId {
  return randomUUID() as string as VolumeId;
}
