export type {
  InFlightSurvival,
  MountDriver,
  MountDriverName,
  MountHandle,
  MountOptions,
  MountStats,
  SmallFile,
} from './mount-driver.ts';
export { Mounts, type MountedVolume, type ResumableMount } from './mounts.ts';
export { selectMountDriver } from './select-mount-driver.ts';
export { prepareMountRoot } from './mount-point.ts';
export { unmountLeftover } from './unmount-leftover.ts';
export { warnAboutRequestTimeout } from './request-timeout.ts';
