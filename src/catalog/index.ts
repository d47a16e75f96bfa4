export { Catalog } from './catalog.ts';
export { readCatalogCopy } from './catalog-copy.ts';
export { newJobId, type JobId, type JobRecord, type JobState } from './job-record.ts';
export type { MountRecord, MountResumption } from './mount-record.ts';
export type { StorageClass } from './storage-class.ts';
export { parseVolumeName, type VolumeName } from './volume-name.ts';
export {
  DEFAULT_MOUNT_PREFERENCES,
  newVolumeId,
  type MountPreferences,
  type MountWish,
  type TruncatePolicy,
  type VolumeId,
  type VolumeRecord,
} from './volume-record.ts';
export { SpaceReserve } from './space-reserve.ts';
