/** GalleonFS as a library; the daemon is the `galleonfs` command. */
export { GalleonFS, type CreateVolumeOptions, type GalleonFSOptions, type VolumeDetails } from './daemon/index.ts';
export { GalleonError, type ErrorCode, type ErrorKind } from './errors/index.ts';
export type { VolumeFile, SeekOrigin } from './volume/index.ts';
