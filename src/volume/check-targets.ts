import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { GalleonError } from '../errors/index.ts';

/** A store to be checked. */
export interface CheckTarget {
  readonly name: string;
  readonly directory: string;
}

/** A volume, as far as a check needs to know it. */
interface KnownVolume {
  readonly name: string;
  readonly id: string;
  /** `creating` and `deleting` are settled by the next start of the daemon. */
  readonly state?: string;
}

export interface CheckTargets {
  readonly targets: readonly CheckTarget[];
  /** What does not fit between the catalog and the store directories. */
  readonly mismatches: readonly string[];
}

/**
 * Which stores to check: one volume's, or, without a name, all, and then the catalog is held against the directories.
 * @throws GalleonError VOLUME_NOT_FOUND
 */
export async function findCheckTargets(
  volumes: readonly KnownVolume[],
  storesDirectory: string,
  name: string | undefined,
): Promise<CheckTargets> {
  const target = (volume: KnownVolume): CheckTarget => ({
    name: volume.name,
    directory: join(storesDirectory, volume.id),
  });
  if (name !== undefined) {
    const found = volumes.find((volume) => volume.name === name);
    if (found !== undefined) return { targets: [target(found)], mismatches: [] };
    throw new GalleonError('VOLUME_NOT_FOUND', `there is no volume "${name}" in ${storesDirectory}`, {
      details: { volume: name },
    });
  }
  const directories = new Set(await readdir(storesDirectory));
  const settled = volumes.filter(({ state }) => state !== 'creating' && state !== 'deleting');
  const missing = settled.filter(({ id }) => !directories.has(id));
  const ids = new Set(volumes.map(({ id }) => id));
  return {
    targets: settled.filter((volume) => directories.has(volume.id)).map(target),
    mismatches: [
      ...missing.map(
        (volume) => `volume "${volume.name}" has no store: ${join(storesDirectory, volume.id)} is missing`,
      ),
      ...[...directories]
        .filter((directory) => !ids.has(directory))
        .sort()
        .map((directory) => `${join(storesDirectory, directory)} belongs to no volume`),
    ],
  };
}
