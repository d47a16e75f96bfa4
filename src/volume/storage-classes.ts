import type { Catalog, StorageClass } from '../catalog/index.ts';
import { GalleonError } from '../errors/index.ts';

const PROVISIONER_PREFIX = 'galleonfs.io/';

/** There without any set-up: volumes in the storage path, whatever disk that is. */
const STANDARD: StorageClass = Object.freeze({
  name: 'standard',
  provisioner: `${PROVISIONER_PREFIX}local`,
  parameters: {},
  reclaimPolicy: 'Delete',
  volumeBindingMode: 'Immediate',
  isDefault: true,
});

/** What `--setup-defaults` makes. */
export const DEFAULT_STORAGE_CLASSES: readonly StorageClass[] = [
  defaultClass('fast-local-ssd', 'local-ssd', { media: 'ssd' }, 'Immediate', true),
  defaultClass('local-hdd', 'local-hdd', { media: 'hdd' }, 'Immediate', false),
  defaultClass('encrypted-storage', 'encrypted', { cipher: 'aes-256-gcm' }, 'Immediate', false),
  defaultClass('distributed', 'distributed', { replicas: '3' }, 'WaitForFirstConsumer', false),
];

/** What a provisioner would need that this version does not have. */
const MISSING: ReadonlyMap<string, string> = new Map([
  [`${PROVISIONER_PREFIX}encrypted`, 'encryption at rest'],
  [`${PROVISIONER_PREFIX}distributed`, 'replication to other nodes'],
]);

/** Sorted by name; the built-in class comes first and is the default only while no other is. */
export function listStorageClasses(catalog: Pick<Catalog, 'storageClasses'>): StorageClass[] {
  const stored = catalog.storageClasses();
  return [{ ...STANDARD, isDefault: !stored.some(({ isDefault }) => isDefault) }, ...stored];
}

/**
 * The class a new volume gets: the named one, else the default.
 * @throws GalleonError STORAGE_CLASS_NOT_FOUND, STORAGE_CLASS_UNSUPPORTED saying what is missing
 */
export function resolveStorageClass(catalog: Pick<Catalog, 'storageClasses'>, name: string | undefined): StorageClass {
  const classes = listStorageClasses(catalog);
  const found = classes.find((candidate) => (name === undefined ? candidate.isDefault : candidate.name === name));
  if (found === undefined) {
    const known = classes.map((candidate) => candidate.name).join(', ');
    throw new GalleonError(
      'STORAGE_CLASS_NOT_FOUND',
      `there is no storage class ${JSON.stringify(name)}: choose one of ${known}, or start the daemon with --setup-defaults for the default ones`,
    );
  }
  const missing = MISSING.get(found.provisioner);
  if (missing !== undefined) {
    throw new GalleonError(
      'STORAGE_CLASS_UNSUPPORTED',
      `storage class "${found.name}" needs ${missing}, which this version of GalleonFS does not have yet; no volume was made`,
    );
  }
  return found;
}

function defaultClass(
  name: string,
  provisioner: string,
  parameters: Readonly<Record<string, string>>,
  volumeBindingMode: StorageClass['volumeBindingMode'],
  isDefault: boolean,
): StorageClass {
  return {
    name,
    provisioner: PROVISIONER_PREFIX + provisioner,
    parameters,
    reclaimPolicy: 'Delete',
    volumeBindingMode,
    isDefault,
  };
}
