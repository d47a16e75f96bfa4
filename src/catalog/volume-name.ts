import type { Brand } from '../lib/index.ts';
import { GalleonError } from '../errors/index.ts';

/** A checked volume name: safe as a file name, a URL segment and a metric label. */
export type VolumeName = Brand<string, 'VolumeName'>;

const LENGTH_MAX = 63;

/** @throws GalleonError VOLUME_NAME_INVALID saying which rule the name breaks. */
export function parseVolumeName(text: string): VolumeName {
  const problem = problemWith(text);
  if (problem !== undefined) {
    throw new GalleonError(
      'VOLUME_NAME_INVALID',
      `volume name ${JSON.stringify(text)} ${problem}; a name is 1 to 63 characters: a-z, 0-9, ".", "_" and "-", starting with a letter or digit`,
    );
  }
  return text as VolumeName;
}

function problemWith(text: string): string | undefined {
  if (text.length === 0) return 'is empty';
  if (text.length > LENGTH_MAX) return `is ${text.length} characters long`;
  if (text.includes('/')) return 'contains "/"';
  if (text === '.' || text.includes('..')) return 'contains "." or ".." as a path would';
  if (/[A-Z]/.test(text)) return 'contains capital letters';
  if (!/^[a-z0-9]/.test(text)) return `starts with ${JSON.stringify(text[0])}`;
  const stranger = /[^a-z0-9._-]/u.exec(text);
  return stranger === null ? undefined : `contains ${JSON.stringify(stranger[0])}`;
}
