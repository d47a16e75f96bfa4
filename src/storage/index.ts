export type {
  CheckFinding,
  CheckReport,
  Damage,
  NativeInheritedMount,
  NativeMountOptions,
  NativeMountState,
  NativeMountStats,
  NativeProcessOptions,
  OperationStats,
  RecoveryReport,
  ScrubFind,
  ScrubPosition,
  StoreStats,
} from './native.ts';
export { configureStorage, VolumeStore, type CreateOptions, type OpenOptions } from './volume-store.ts';
export { StoreCheck } from './store-check.ts';
export { NativeMount, unmountStale } from './native-mount.ts';
export { openDescriptorStore, type DescriptorStore, type DescriptorStoreKind } from './descriptor-store.ts';
