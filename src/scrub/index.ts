export { latestScrub, lastDoneScrub, SCRUB } from './scrub-records.ts';
export { ScrubSchedule } from './scrub-schedule.ts';
export { DEFAULT_SCRUB_RATE, scrubWork, type ScrubOptions } from './scrub-work.ts';
