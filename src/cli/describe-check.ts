import type { Problem } from '../errors/index.ts';
import { formatByteSize, formatDuration } from '../lib/index.ts';
import type { CheckFinding, CheckReport } from '../storage/index.ts';
import { textFields, textTable } from './text-table.ts';

/** How it went with one store: a report, or why there is none. */
export interface CheckedVolume {
  readonly name: string;
  readonly directory: string;
  readonly report: (Omit<CheckReport, 'volumeId'> & { readonly volumeId: string }) | null;
  readonly repaired: boolean;
  readonly problem: Problem | null;
}

export interface CheckResult {
  /** True if everything was checked and adds up. */
  readonly ok: boolean;
  readonly volumes: readonly CheckedVolume[];
  readonly catalog: readonly string[];
}

type Totals = Omit<CheckReport, 'volumeId'>;

export function describeCheck({ volumes, catalog }: CheckResult): string {
  return [...volumes.map(describeVolume), ...catalog.map((mismatch) => `! ${mismatch}`)].join('\n\n');
}

/** What a repair of it would do; empty: nothing. */
export function describeRepairs(name: string, { findings }: CheckReport): string {
  const repairs = findings.filter(({ repair }) => repair !== undefined);
  if (repairs.length === 0) return '';
  const rows = repairs.map((finding) => [finding.repair ?? '', ...placeOf(finding), finding.detail]);
  return `To repair "${name}":\n${textTable(['REPAIR', 'KIND', 'FILE', 'OFFSET', 'DETAIL'], rows)}`;
}

function describeVolume({ name, directory, report, repaired, problem }: CheckedVolume): string {
  if (report === null) return `! ${name}: not checked: ${problem?.detail ?? ''}`;
  const head = `${name}: ${verdict(report)}${repaired ? ', after the repair' : ''}`;
  return [head, ...table(report), totals(directory, report)].join('\n');
}

function verdict({ damages, errors, notes, superblockGeneration }: Totals): string {
  if (damages + errors === 0) return 'everything adds up';
  const counts = [count(damages, 'damage', 'damages'), count(errors, 'error', 'errors'), count(notes, 'note', 'notes')];
  const said = counts.filter((text) => text !== '').join(', ');
  return superblockGeneration === 0 ? `${said}; it cannot be opened, so nothing else was checked` : said;
}

function table({ findings, damages, errors, notes }: Totals): string[] {
  if (findings.length === 0) return [];
  const rows = findings.map((finding) => [
    finding.severity,
    ...placeOf(finding),
    String(finding.volumeOffsetBytes ?? '-'),
    String(finding.segment),
    String(finding.slot),
    finding.repair === undefined ? finding.detail : `${finding.detail} (repair: ${finding.repair})`,
  ]);
  const more = damages + errors + notes - findings.length;
  const header = ['SEVERITY', 'KIND', 'FILE', 'FILE OFFSET', 'VOLUME OFFSET', 'SEGMENT', 'SLOT', 'DETAIL'];
  return [textTable(header, rows), ...(more > 0 ? [`… and ${more} more`] : [])];
}

function totals(directory: string, report: Totals): string {
  const bytes = (blocks: number): string => formatByteSize(blocks * report.blockSizeBytes);
  return textFields([
    ['Store', directory],
    ['Size', `${formatByteSize(report.sizeBytes)}, blocks of ${formatByteSize(report.blockSizeBytes)}`],
    [
      'Live',
      `${report.liveBlocks} blocks (${bytes(report.liveBlocks)}): ${report.verifiedBlocks} verified, ${report.lostBlocks} lost`,
    ],
    ['Segments', `${report.segments}, of these ${report.compactedSegments} compacted`],
    [
      'Files',
      `${formatByteSize(report.fileBytes)}; segments: ${report.filesInUse} in use, ${report.filesReplayed} to be replayed, ${report.filesPending} waiting to be free, ${report.filesFree} free`,
    ],
    [
      'Map pages',
      `${report.mapPages}: ${report.mapPagesUsed} in use, ${report.mapPagesPending} waiting to be free, ${report.mapPagesFree} free; ${report.stragglerEntries} entries not in pages`,
    ],
    [
      'Journal',
      `${report.replayEntries} entries after checkpoint ${report.superblockGeneration} to replay, ${report.tornEntries} unfinished`,
    ],
    ['Read', `${formatByteSize(report.readBytes)} in ${formatDuration(report.durationUs / 1000)}`],
  ]);
}

function placeOf({ kind, file, fileOffsetBytes }: CheckFinding): string[] {
  return [kind, file, String(fileOffsetBytes)];
}

function count(number: number, one: string, many: string): string {
  return number === 0 ? '' : `${number} ${number === 1 ? one : many}`;
}
