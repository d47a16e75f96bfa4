import type { JobRecord, VolumeId } from '../catalog/index.ts';

/** The kind of a scrub's job. */
export const SCRUB = 'scrub';

/** The volume's scrub that was started last; `records` are sorted, the latest first. */
export function latestScrub(records: readonly JobRecord[], volumeId: VolumeId): JobRecord | undefined {
  return records.find((record) => record.kind === SCRUB && record.volumeId === volumeId);
}

export function lastDoneScrub(records: readonly JobRecord[], volumeId: VolumeId): JobRecord | undefined {
  return records.find((record) => record.kind === SCRUB && record.volumeId === volumeId && record.state === 'done');
}
