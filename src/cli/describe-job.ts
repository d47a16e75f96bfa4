import type { JobView } from '../daemon/index.ts';
import { formatByteSize, formatDuration } from '../lib/index.ts';
import type { ScrubFind } from '../storage/index.ts';
import { textFields, textTable } from './text-table.ts';

export function describeJobs(jobs: readonly JobView[]): string {
  if (jobs.length === 0) return 'No jobs.';
  const rows = jobs.map((job) => [
    job.id,
    job.kind,
    job.volume,
    job.state,
    progress(job),
    String(job.resultCount),
    job.startedAt,
    duration(job),
  ]);
  return textTable(['JOB', 'KIND', 'VOLUME', 'STATE', 'PROGRESS', 'RESULTS', 'STARTED', 'TOOK'], rows);
}

export function describeJob(job: JobView): string {
  const fields = textFields([
    ['Job', `${job.id}: ${job.kind} of volume "${job.volume}"`],
    ['State', job.failure === null ? job.state : `${job.state}: ${job.failure.message} (${job.failure.code})`],
    ['Started', job.startedAt],
    ['Ended', job.endedAt ?? '-'],
    ['Progress', `${progress(job)}: ${formatByteSize(job.doneBytes)} of ${formatByteSize(job.totalBytes)}`],
    [job.kind === 'scrub' ? 'Finds' : 'Results', String(job.resultCount)],
  ]);
  return job.kind === 'scrub' && job.results.length > 0 ? `${fields}\n${finds(job)}` : fields;
}

/** `database: 37 %, 3.7 GiB of 10 GiB` */
export function progressLine(job: JobView): string {
  const state = job.state === 'waiting' ? 'waiting for its turn' : progress(job);
  return `${job.volume}: ${state}, ${formatByteSize(job.doneBytes)} of ${formatByteSize(job.totalBytes)}`;
}

function finds({ results, resultCount }: JobView): string {
  const rows = (results as readonly ScrubFind[]).map((find) => [
    find.kind,
    find.file,
    String(find.fileOffsetBytes),
    String(find.volumeOffsetBytes ?? '-'),
    String(find.segment),
    String(find.slot),
    find.healed === undefined ? 'no' : `from ${find.healed}`,
    find.detail,
  ]);
  const header = ['KIND', 'FILE', 'FILE OFFSET', 'VOLUME OFFSET', 'SEGMENT', 'SLOT', 'HEALED', 'DETAIL'];
  const more = resultCount - results.length;
  return [textTable(header, rows), ...(more > 0 ? [`… and ${more} more`] : [])].join('\n');
}

function progress({ doneBytes, totalBytes, state }: JobView): string {
  if (state === 'done') return '100 %';
  return `${totalBytes === 0 ? 0 : Math.floor((100 * doneBytes) / totalBytes)} %`;
}

function duration({ startedAt, endedAt }: JobView): string {
  const endMs = endedAt === null ? Date.now() : Date.parse(endedAt);
  return formatDuration(Math.max(0, endMs - Date.parse(startedAt)));
}
