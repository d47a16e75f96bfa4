// Creates and deletes volumes of a storage path until it is killed, and says what was acknowledged.
import { Catalog } from '../../../src/catalog/index.ts';
import { silentLog } from '../../../src/lib/index.ts';
import { StoreDirectories, Volumes, nativeEngine } from '../../../src/volume/index.ts';
import { writeSync } from 'node:fs';
import { join } from 'node:path';

const root = process.argv[2] ?? '';
const catalog = await Catalog.open(join(root, 'catalog'));
const directories = await StoreDirectories.open(join(root, 'volumes'));
const volumes = new Volumes({ catalog, directories, engine: nativeEngine, log: silentLog });
await volumes.recover();
const name = (round: number): string => `v${round % 3}`;
for (let round = 0; ; round++) {
  const there = volumes.list().find((volume) => volume.name === name(round));
  writeSync(1, `begin ${name(round)}\n`);
  if (there === undefined) {
    await volumes.create({ name: name(round), sizeBytes: 1024 ** 2 });
    writeSync(1, `created ${name(round)}\n`);
  } else {
    await volumes.delete(there);
    writeSync(1, `deleted ${name(round)}\n`);
  }
}
