import { availableParallelism } from 'node:os';
import { Catalog, SpaceReserve } from '../catalog/index.ts';
import type { Configuration } from '../config/index.ts';
import { Jobs } from '../job/index.ts';
import { silentLog, type Log } from '../lib/index.ts';
import { Mounts, prepareMountRoot, selectMountDriver, type MountDriver } from '../mount/index.ts';
import { DamageWatch } from '../monitoring/index.ts';
import { SCRUB, ScrubSchedule, scrubWork } from '../scrub/index.ts';
import { configureStorage, openDescriptorStore, type DescriptorStore } from '../storage/index.ts';
import { DEFAULT_STORAGE_CLASSES, nativeEngine, StoreDirectories, Volumes, type StoreEngine } from '../volume/index.ts';
import { Daemon } from './daemon.ts';
import { prepareStoragePath, type StoragePath } from './storage-path.ts';

/** Parts that tests replace. */
export interface DaemonReplacements {
  readonly engine?: StoreEngine;
  readonly driver?: MountDriver;
  readonly descriptors?: DescriptorStore;
}

/**
 * The composition root: builds a daemon's parts from its configuration. It holds the storage path when this returns, and
 * does nothing yet: `start` does.
 * @throws GalleonError STORAGE_PATH_LOCKED, STORAGE_PATH_INVALID, STORAGE_PATH_PERMISSION, CATALOG_DAMAGED,
 *   CATALOG_TOO_NEW, MOUNT_POINT_NOT_DIRECTORY, MOUNT_POINT_PERMISSION, ADDON_UNAVAILABLE
 */
export async function openDaemon(
  configuration: Configuration,
  log: Log,
  replacements: DaemonReplacements = {},
): Promise<Daemon> {
  if (replacements.engine === undefined) {
    const { cacheSizeBytes: cacheBytes, inFlight } = configuration;
    configureStorage({ cacheBytes, fuseThreadsMax: availableParallelism(), inFlight });
  }
  const descriptors = replacements.descriptors ?? openDescriptorStore(process.env);
  await prepareMountRoot(configuration.mountPoint);
  const { paths, catalog, volumes, jobs } = await openVolumes(configuration.storagePath, log, replacements.engine);
  if (configuration.setupDefaults) {
    for (const storageClass of DEFAULT_STORAGE_CLASSES) await catalog.putStorageClass(storageClass);
  }
  const mounts = new Mounts({
    driver: replacements.driver ?? selectMountDriver(configuration.fuseDriver),
    root: configuration.mountPoint,
    allowOther: configuration.allowOther,
    records: catalog,
    descriptors,
    log,
  });
  const damageWatch = new DamageWatch(log, () => damageSources(volumes));
  const { scrubIntervalMs: intervalMs } = configuration;
  const scrubSchedule = intervalMs === null ? null : new ScrubSchedule({ intervalMs, jobs, volumes, log });
  return new Daemon({
    configuration,
    paths,
    catalog,
    volumes,
    jobs,
    scrubSchedule,
    mounts,
    descriptors,
    damageWatch,
    log,
  });
}

/** What the daemon and the library share: a storage path, held exclusively, its volumes, and the long work on them. */
export async function openVolumes(
  root: string,
  log: Log = silentLog,
  engine: StoreEngine = nativeEngine,
): Promise<{ paths: StoragePath; catalog: Catalog; volumes: Volumes; jobs: Jobs }> {
  const paths = await prepareStoragePath(root);
  const catalog = await Catalog.open(paths.catalog, new SpaceReserve(paths.spaceReserve));
  try {
    const directories = await StoreDirectories.open(paths.volumes);
    const volumes = new Volumes({ catalog, directories, engine, log });
    const jobs = new Jobs({ catalog, log });
    jobs.define(SCRUB, scrubWork(volumes, log));
    return { paths, catalog, volumes, jobs };
  } catch (error) {
    await catalog.close();
    throw error;
  }
}

function damageSources(volumes: Volumes): ReturnType<ConstructorParameters<typeof DamageWatch>[1]> {
  return volumes.list().flatMap(({ name, openStore }) => {
    if (openStore === undefined) return [];
    return [
      {
        name,
        damage: () => openStore.damage(),
        checksumFailures: () => openStore.stats().checksumFailures,
        readOnlyReason: () => openStore.stats().readOnlyReason,
        refusal: () => openStore.stats().refusal,
      },
    ];
  });
}
