export { Daemon, type CreateVolumeOrder, type Ending, type MountRequest } from './daemon.ts';
export type { DaemonStatus } from './daemon-status.ts';
export { GalleonFS, type CreateVolumeOptions, type GalleonFSOptions } from './galleonfs.ts';
export type { JobView, ScrubView } from './job-view.ts';
export { openDaemon, type DaemonReplacements } from './open-daemon.ts';
export { runDemo } from './run-demo.ts';
export { controlSocketPath, removeStaleSocket, storagePath } from './storage-path.ts';
export { VERSION } from './version.ts';
export type { DamageView, MountView, VolumeDetails, VolumeView } from './volume-view.ts';
