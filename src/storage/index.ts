export type { Damage, OperationStats, RecoveryReport, StoreStats } from './native.ts';
export { configureStorage, VolumeStore, type CreateOptions, type OpenOptions } from './volume-store.ts';
