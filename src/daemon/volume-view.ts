import type { JobRecord, MountPreferences } from '../catalog/index.ts';
import type { ErrorCode } from '../errors/index.ts';
import type { InFlightSurvival, MountedVolume } from '../mount/index.ts';
import type { Damage, RecoveryReport, StoreStats } from '../storage/index.ts';
import type { Volume } from '../volume/index.ts';
import { viewScrub, type ScrubView } from './job-view.ts';

/** `failed`: the store cannot be opened, or the volume should be mounted and is not; `reason` says why. */
export type VolumeState = 'mounted' | 'unmounted' | 'failed';

export interface MountView {
  readonly path: string;
  /** The block device. */
  readonly dataPath: string;
  readonly driver: string;
  readonly since: string;
  readonly options: MountPreferences;
  /** How requests being served outlive a crash of the daemon; `none`: they fail, and the mount ends. */
  readonly inFlightSurvival: InFlightSurvival;
  readonly requests: number;
  readonly errors: number;
  /** Null where the mount driver keeps no handles. */
  readonly openFiles: number | null;
}

/** A volume as the API, the CLI and the library's users see it. */
export interface VolumeView {
  readonly name: string;
  readonly id: string;
  readonly state: VolumeState;
  readonly reason: { readonly code: ErrorCode; readonly message: string } | null;
  readonly sizeBytes: number;
  readonly blockSizeBytes: number;
  readonly storageClass: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly createdAt: string;
  readonly mountAtStart: boolean;
  readonly mount: MountView | null;
  /** Bytes of live data; null while the store is not open. */
  readonly liveBytes: number | null;
  /** Bytes of segments and map on disk; null while the store is not open. */
  readonly storedBytes: number | null;
  readonly checksumFailures: number | null;
  /** Null: never scrubbed. */
  readonly scrub: ScrubView | null;
  /** Why the volume refuses writes; null while it takes them. */
  readonly readOnlyReason: string | null;
  /** Why the last write was refused, for want of space or descriptors: the next one may be taken. */
  readonly refusal: string | null;
}

export interface VolumeDetails extends VolumeView {
  readonly stats: StoreStats | null;
  readonly recovery: RecoveryReport | null;
}

export interface DamageView {
  readonly volume: string;
  readonly checksumFailures: number;
  /** The findings that are kept; `checksumFailures` counts all of them, also repeated ones. */
  readonly damage: readonly Damage[];
}

export function viewVolume(volume: Volume, mounted: MountedVolume | undefined, jobs: readonly JobRecord[]): VolumeView {
  const { name, id, sizeBytes, blockSizeBytes, storageClass, labels, createdAt, mount } = volume.record;
  const stats = volume.openStore?.stats();
  const { failure } = volume;
  return {
    name,
    id,
    state: mounted === undefined ? (failure === undefined ? 'unmounted' : 'failed') : 'mounted',
    reason: failure === undefined ? null : { code: failure.code, message: failure.message },
    sizeBytes,
    blockSizeBytes,
    storageClass,
    labels,
    createdAt,
    mountAtStart: mount.atStart,
    mount: mounted === undefined ? null : viewMount(mounted),
    liveBytes: stats?.liveBytes ?? null,
    storedBytes: stats === undefined ? null : stats.segmentBytes + stats.mapBytes,
    checksumFailures: stats?.checksumFailures ?? null,
    scrub: viewScrub(jobs, volume),
    readOnlyReason: stats === undefined || stats.readOnlyReason === '' ? null : stats.readOnlyReason,
    refusal: stats === undefined || stats.refusal === '' ? null : stats.refusal,
  };
}

export function viewVolumeDetails(
  volume: Volume,
  mounted: MountedVolume | undefined,
  jobs: readonly JobRecord[],
): VolumeDetails {
  const store = volume.openStore;
  return { ...viewVolume(volume, mounted, jobs), stats: store?.stats() ?? null, recovery: store?.recovery ?? null };
}

function viewMount({ handle, preferences, since }: MountedVolume): MountView {
  const { requests, errors, openFiles } = handle.stats();
  return {
    path: handle.mountPoint,
    dataPath: `${handle.mountPoint}/data`,
    driver: handle.driver,
    since,
    options: preferences,
    inFlightSurvival: handle.inFlightSurvival,
    requests,
    errors,
    openFiles: openFiles ?? null,
  };
}
