import { copyFile, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GalleonError } from '../errors/index.ts';
import { Catalog } from './catalog.ts';
import type { VolumeRecord } from './volume-record.ts';

/**
 * The volumes of a catalog that no daemon has open, without changing a byte of it: LevelDB writes whenever it opens, so
 * it opens a copy.
 * @throws GalleonError STORAGE_PATH_INVALID where there is no catalog, CATALOG_DAMAGED, CATALOG_TOO_NEW
 */
export async function readCatalogCopy(directory: string): Promise<VolumeRecord[]> {
  const names = await readdir(directory).catch((): string[] => []);
  if (!names.includes('CURRENT')) {
    throw new GalleonError(
      'STORAGE_PATH_INVALID',
      `there is no catalog in ${directory}: say where with --storage-path`,
    );
  }
  const copy = await mkdtemp(join(tmpdir(), 'galleonfs-catalog-'));
  try {
    for (const name of names.filter((candidate) => candidate !== 'LOCK')) {
      await copyFile(join(directory, name), join(copy, name));
    }
    const catalog = await Catalog.open(copy);
    try {
      return catalog.volumes();
    } finally {
      await catalog.close();
    }
  } finally {
    await rm(copy, { recursive: true, force: true });
  }
}
