export { findCheckTargets, type CheckTarget, type CheckTargets } from './check-targets.ts';
export { nativeEngine } from './native-engine.ts';
export { DEFAULT_STORAGE_CLASSES, listStorageClasses } from './storage-classes.ts';
export { StoreDirectories } from './store-directories.ts';
export type { StoreEngine } from './store-engine.ts';
export { VolumeFile, type SeekOrigin } from './volume-file.ts';
export { Volume } from './volume.ts';
export { Volumes, type CreateVolumeRequest } from './volumes.ts';
