export { listen, type Listeners } from './listen.ts';
export type { CreateVolumeBody, MountBody, UnmountBody } from './request-bodies.ts';
