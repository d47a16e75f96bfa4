export { listen, type Listeners } from './listen.ts';
export type { CreateVolumeBody, MountBody, ScrubBody, UnmountBody } from './request-bodies.ts';
