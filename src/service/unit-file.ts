import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { GalleonError } from '../errors/index.ts';

/** What a unit file of this installation has to name. Absolute paths. */
export interface UnitPaths {
  /** Where GalleonFS is installed: `<prefix>/bin/galleonfs` starts it. */
  readonly prefix: string;
  readonly configurationFile: string;
  readonly storagePath: string;
}

export const UNIT_NAMES = ['galleonfs.service', 'galleonfs-mount@.service'] as const;
export type UnitName = (typeof UNIT_NAMES)[number];

/** What the files in systemd/ name, and the rendered ones name otherwise. */
const SHIPPED: UnitPaths = {
  prefix: '/opt/galleonfs',
  configurationFile: '/etc/galleonfs/galleonfs.json',
  storagePath: '/var/lib/galleonfs',
};

/** The unit as it is shipped. */
export async function readUnit(name: UnitName): Promise<string> {
  return await readFile(resolve(import.meta.dirname, '../../systemd', name), 'utf8');
}

/**
 * A shipped unit with the paths of this installation.
 * @throws GalleonError SERVICE_PATH_UNSUITABLE
 */
export function renderUnit(shipped: string, paths: UnitPaths): string {
  const documentation = encodeURI(word(paths.prefix, false)).replaceAll('%', '%%');
  return shipped
    .split('\n')
    .map((line) => {
      if (line.startsWith('Documentation=')) return line.replace(SHIPPED.prefix, () => documentation);
      if (line.startsWith('RequiresMountsFor=')) {
        return line.replace(SHIPPED.storagePath, () => word(paths.storagePath, true));
      }
      return line
        .replace(`${SHIPPED.prefix}/bin/galleonfs`, () => word(`${paths.prefix}/bin/galleonfs`, true))
        .replace(SHIPPED.configurationFile, () => word(paths.configurationFile, true));
    })
    .join('\n');
}

/** A path as one word of a setting. Characters that units give a meaning, each its own, are refused, not escaped. */
function word(path: string, quoting: boolean): string {
  if (/[\u0000-\u001f\u007f"'\\$%;]/.test(path)) {
    throw new GalleonError(
      'SERVICE_PATH_UNSUITABLE',
      `the path ${JSON.stringify(path)} cannot stand in a unit file: choose one without quotes, \\, $, %, ; and control characters`,
    );
  }
  return quoting && path.includes(' ') ? `"${path}"` : path;
}
