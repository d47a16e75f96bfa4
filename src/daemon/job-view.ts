import type { JobRecord, JobState } from '../catalog/index.ts';
import { lastDoneScrub, latestScrub } from '../scrub/index.ts';
import type { ScrubFind } from '../storage/index.ts';
import type { Volume } from '../volume/index.ts';

/**
 * A job as the API, the CLI and the library's users see it: without what only the work itself needs to go on.
 * The `results` of a scrub are its finds, the first 1000.
 */
export type JobView = Omit<JobRecord, 'volumeId' | 'position'>;

/** What scrubs say about a volume. */
export interface ScrubView {
  /** The end of the last one that was done; null: never. */
  readonly lastDoneAt: string | null;
  /** The latest one: */
  readonly job: string;
  readonly state: JobState;
  readonly doneBytes: number;
  readonly totalBytes: number;
  readonly finds: number;
  /** Of those that are listed, the ones that could not be put right. */
  readonly unhealed: number;
}

export function viewJob(record: JobRecord): JobView {
  const { id, kind, volume, state, startedAt, endedAt, doneBytes, totalBytes } = record;
  const { options, results, resultCount, failure } = record;
  return { id, kind, volume, state, startedAt, endedAt, doneBytes, totalBytes, options, results, resultCount, failure };
}

/** Null: the volume was never scrubbed. `records`: the latest first. */
export function viewScrub(records: readonly JobRecord[], { record }: Volume): ScrubView | null {
  const latest = latestScrub(records, record.id);
  if (latest === undefined) return null;
  const { id, state, doneBytes, totalBytes, resultCount } = latest;
  const finds = latest.results as readonly ScrubFind[];
  return {
    lastDoneAt: lastDoneScrub(records, record.id)?.endedAt ?? null,
    job: id,
    state,
    doneBytes,
    totalBytes,
    finds: resultCount,
    unhealed: finds.filter(({ healed }) => healed === undefined).length,
  };
}
