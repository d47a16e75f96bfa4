import type { JobRecord } from '../catalog/index.ts';

/** What the work of a job tells about itself as it gets on. */
export type JobUpdate = Partial<Pick<JobRecord, 'doneBytes' | 'totalBytes' | 'position'>> & {
  readonly results?: readonly unknown[];
};

/** A job as its work sees it. */
export interface RunningJob {
  /** As of the last update. */
  readonly record: JobRecord;
  /** Aborted when the job is cancelled and when the daemon stops: the work ends soon, and goes on from its position if it is run again. */
  readonly signal: AbortSignal;
  /** Says how far it is, and adds results. Kept now and then, and at the end. */
  update(update: JobUpdate): Promise<void>;
}

/** Does the whole of a job, from `record.position` on. @throws what makes the job fail */
export type JobWork = (job: RunningJob) => Promise<void>;
