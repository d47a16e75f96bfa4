export { Jobs, type JobTarget } from './jobs.ts';
export type { JobWork, RunningJob } from './running-job.ts';
