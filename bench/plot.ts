/** The standings as a picture: a panel a job, a bar a contestant, ours in colour, a line where the base ends. */
import type { Job } from './jobs.ts';
import type { Standing } from './standings.ts';
import { amount } from './table.ts';

export interface Caption {
  readonly title: string;
  readonly subtitle: string;
  /** Drawn in colour: contestants whose name begins with it. */
  readonly ours: string;
  readonly base: string;
  /** Drawn hollow: what cannot be reached. */
  readonly limit: string;
}

const PANEL = { width: 420, columns: 3, gap: 28, header: 34, nameWidth: 118, valueWidth: 116 };
const BAR = { height: 14, gap: 6 };
const MARGIN = { side: 28, top: 76, bottom: 30 };
const INK = { text: '#1f2328', quiet: '#656d76', bar: '#b8c0c9', ours: '#0b6bcb', line: '#1f2328', paper: '#ffffff' };

export function plot(
  jobs: readonly Job[],
  contestants: readonly string[],
  results: readonly Standing[],
  caption: Caption,
): string {
  const panelHeight = PANEL.header + contestants.length * (BAR.height + BAR.gap) + PANEL.gap;
  const columns = Math.min(PANEL.columns, jobs.length);
  const width = Math.max(760, 2 * MARGIN.side + columns * PANEL.width + (columns - 1) * PANEL.gap);
  const height = MARGIN.top + Math.ceil(jobs.length / columns) * panelHeight + MARGIN.bottom;
  const panels = jobs.map((job, index) => {
    const x = MARGIN.side + (index % columns) * (PANEL.width + PANEL.gap);
    const y = MARGIN.top + Math.floor(index / columns) * panelHeight;
    const entries = contestants.map((name) =>
      results.find((entry) => entry.job === job.name && entry.contestant === name),
    );
    return `<g transform="translate(${x},${y})">${panel(job, contestants, entries, caption)}</g>`;
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}"`,
    ` font-family="DejaVu Sans, Helvetica, Arial, sans-serif" font-size="12">`,
    `<rect width="${width}" height="${height}" fill="${INK.paper}"/>`,
    text(MARGIN.side, 32, caption.title, `font-size="18" font-weight="bold" fill="${INK.text}"`),
    text(MARGIN.side, 54, caption.subtitle, `fill="${INK.quiet}"`),
    ...panels,
    '</svg>\n',
  ].join('\n');
}

function panel(
  job: Job,
  names: readonly string[],
  entries: readonly (Standing | undefined)[],
  caption: Caption,
): string {
  const most = Math.max(1, ...entries.map((entry) => entry?.iops ?? 0));
  const span = PANEL.width - PANEL.nameWidth - PANEL.valueWidth;
  const base = entries.find((entry) => entry?.contestant === caption.base);
  const bottom = PANEL.header + names.length * (BAR.height + BAR.gap) - BAR.gap;
  const baseX = PANEL.nameWidth + ((base?.iops ?? 0) / most) * span;
  const rows = names.map((name, index) => {
    const entry = entries[index];
    const y = PANEL.header + index * (BAR.height + BAR.gap);
    const ours = name.startsWith(caption.ours);
    const weight = ours ? 'font-weight="bold" ' : '';
    const label = text(PANEL.nameWidth - 8, y + 11, name, `${weight}text-anchor="end" fill="${INK.text}"`);
    if (entry === undefined) return label;
    const length = (entry.iops / most) * span;
    const ratio = entry.ratio === null ? '' : ` (${entry.ratio.toFixed(2)}x)`;
    return [
      label,
      bar(y, length, ours ? 'ours' : name === caption.limit ? 'limit' : 'other'),
      text(PANEL.nameWidth + span + 10, y + 11, `${amount(entry, job.unit)}${ratio}`, `${weight}fill="${INK.quiet}"`),
    ].join('');
  });
  const mark =
    base === undefined
      ? ''
      : `<line x1="${baseX.toFixed(1)}" x2="${baseX.toFixed(1)}" y1="${PANEL.header - 4}" y2="${bottom + 4}" stroke="${INK.line}" stroke-dasharray="2 3"/>`;
  return [text(0, 18, `${job.title}, ${job.unit}`, `font-weight="bold" fill="${INK.text}"`), mark, ...rows].join('\n');
}

function bar(y: number, length: number, kind: 'ours' | 'limit' | 'other'): string {
  const paint = {
    ours: `fill="${INK.ours}"`,
    limit: `fill="${INK.paper}" stroke="${INK.bar}" stroke-dasharray="3 2"`,
    other: `fill="${INK.bar}"`,
  }[kind];
  return `<rect x="${PANEL.nameWidth}" y="${y}" width="${length.toFixed(1)}" height="${BAR.height}" rx="2" ${paint}/>`;
}

function text(x: number, y: number, content: string, attributes: string): string {
  const escaped = content.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
  return `<text x="${x.toFixed(1)}" y="${y}" ${attributes}>${escaped}</text>`;
}
