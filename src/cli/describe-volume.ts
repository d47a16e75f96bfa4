import type { DamageView, VolumeDetails, VolumeView } from '../daemon/index.ts';
import { formatByteSize } from '../lib/index.ts';
import { textFields, textTable } from './text-table.ts';

export function describeVolumes(volumes: readonly VolumeView[]): string {
  if (volumes.length === 0) return 'No volumes yet. Make one: galleonfs volume create <name> --size 10GiB';
  const rows = volumes.map((volume) => [
    volume.name,
    volume.readOnlyReason === null ? volume.state : `${volume.state} (read-only)`,
    formatByteSize(volume.sizeBytes),
    size(volume.liveBytes),
    volume.storageClass,
    volume.mount?.dataPath ?? '-',
  ]);
  const table = textTable(['NAME', 'STATE', 'SIZE', 'USED', 'CLASS', 'DEVICE'], rows);
  return [table, ...volumes.flatMap(troubles)].join('\n');
}

export function describeVolume(volume: VolumeDetails): string {
  const { mount, recovery } = volume;
  const fields: [string, string][] = [
    ['Name', volume.name],
    ['State', volume.state],
    ['Device', mount?.dataPath ?? '-'],
    ['Size', `${formatByteSize(volume.sizeBytes)} (${volume.sizeBytes} bytes)`],
    ['Used', size(volume.liveBytes)],
    ['On disk', size(volume.storedBytes)],
    ['Block size', formatByteSize(volume.blockSizeBytes)],
    ['Class', volume.storageClass],
    ['Labels', labels(volume.labels)],
    ['Created', volume.createdAt],
    ['Id', volume.id],
    ['At start', volume.mountAtStart ? 'mounted' : 'not mounted'],
    ['Checksum failures', String(volume.checksumFailures ?? '-')],
    ['Last scrub', scrub(volume)],
  ];
  if (mount !== null)
    fields.push(['Mounted', `since ${mount.since} by the ${mount.driver} driver, ${options(volume)}`]);
  if (recovery !== null) {
    const seconds = (recovery.durationUs / 1e6).toFixed(3);
    fields.push(['Recovery', `${recovery.replayedEntries} journal entries replayed in ${seconds} s`]);
  }
  return [textFields(fields), ...troubles(volume)].join('\n');
}

export function describeDamage({ volume, checksumFailures, damage }: DamageView): string {
  if (checksumFailures === 0 && damage.length === 0) return `No damage found in volume "${volume}".`;
  const rows = damage.map((piece) => [
    piece.kind,
    piece.file,
    String(piece.fileOffsetBytes),
    String(piece.volumeOffsetBytes ?? '-'),
    String(piece.segment),
    String(piece.slot),
    piece.detail,
  ]);
  const table = textTable(['KIND', 'FILE', 'FILE OFFSET', 'VOLUME OFFSET', 'SEGMENT', 'SLOT', 'DETAIL'], rows);
  return `Volume "${volume}": ${checksumFailures} failed verifications.\n${table}`;
}

function troubles(volume: VolumeView): string[] {
  const lines: string[] = [];
  if (volume.reason !== null) lines.push(`! ${volume.name}: ${volume.reason.message} (${volume.reason.code})`);
  if (volume.readOnlyReason !== null) lines.push(`! ${volume.name} is read-only: ${volume.readOnlyReason}`);
  if (volume.refusal !== null) lines.push(`! ${volume.name} refused the last write: ${volume.refusal}`);
  if ((volume.scrub?.unhealed ?? 0) > 0) {
    lines.push(`! ${volume.name}: the last scrub found damage; see "galleonfs scrub ${volume.name} --status"`);
  }
  if ((volume.checksumFailures ?? 0) > 0) {
    lines.push(`! ${volume.name}: damage was found; see "galleonfs volume damage ${volume.name}"`);
  }
  return lines;
}

function options({ mount }: VolumeDetails): string {
  if (mount === null) return '';
  const { readOnly, sync, allowOther, mode, truncate } = mount.options;
  const words = [readOnly ? 'ro' : 'rw', sync ? 'sync' : '', allowOther ? 'allow_other' : ''];
  return [...words, `mode=${mode.toString(8)}`, `truncate=${truncate}`].filter((word) => word !== '').join(',');
}

function scrub({ scrub: last }: VolumeView): string {
  if (last === null) return 'never';
  const { lastDoneAt, state, doneBytes, totalBytes, finds, unhealed } = last;
  const found = finds === 0 ? '' : `, ${finds} finds, ${unhealed} not healed`;
  const share = totalBytes === 0 ? 0 : Math.floor((100 * doneBytes) / totalBytes);
  const now = state === 'done' ? found : `; one is ${state}${state === 'running' ? ` (${share} %)` : ''}${found}`;
  return `${lastDoneAt ?? 'never done'}${now}`;
}

function labels(pairs: Readonly<Record<string, string>>): string {
  const texts = Object.entries(pairs).map(([key, value]) => `${key}=${value}`);
  return texts.length === 0 ? '-' : texts.join(', ');
}

function size(bytes: number | null): string {
  return bytes === null ? '-' : formatByteSize(bytes);
}
