import { DEFAULT_MOUNT_PREFERENCES, type MountPreferences, type StorageClass } from '../catalog/index.ts';
import type { Configuration } from '../config/index.ts';
import { GalleonError, toGalleonError } from '../errors/index.ts';
import type { Jobs } from '../job/index.ts';
import { SerialQueue, type Log } from '../lib/index.ts';
import { warnAboutRequestTimeout, type Mounts, type ResumableMount } from '../mount/index.ts';
import type { DamageWatch, VolumeReading } from '../monitoring/index.ts';
import { DEFAULT_SCRUB_RATE, lastDoneScrub, latestScrub, SCRUB, type ScrubSchedule } from '../scrub/index.ts';
import { listStorageClasses, type CreateVolumeRequest, type Volume, type Volumes } from '../volume/index.ts';
import type { Catalog } from '../catalog/index.ts';
import type { DaemonStatus, DaemonPhase } from './daemon-status.ts';
import type { DescriptorStore } from '../storage/index.ts';
import { viewJob, type JobView } from './job-view.ts';
import type { StoragePath } from './storage-path.ts';
import { VERSION } from './version.ts';
import { Watchdog, type MountProgress } from './watchdog.ts';
import { viewVolume, viewVolumeDetails, type DamageView, type VolumeDetails, type VolumeView } from './volume-view.ts';

export interface MountRequest {
  /** Absolute. Default: `<mount-point>/<name>`. */
  readonly path?: string | undefined;
  readonly preferences?: Partial<MountPreferences> | undefined;
}

export interface CreateVolumeOrder extends Omit<CreateVolumeRequest, 'mount'> {
  /** Default: mounted at the default path; null: not mounted, now or at a start. */
  readonly mount?: MountRequest | null | undefined;
}

export interface DaemonParts {
  readonly configuration: Configuration;
  readonly paths: StoragePath;
  readonly catalog: Catalog;
  readonly volumes: Volumes;
  readonly jobs: Jobs;
  /** Null: scrubs are made only when asked for. */
  readonly scrubSchedule: ScrubSchedule | null;
  readonly mounts: Mounts;
  readonly descriptors: DescriptorStore;
  readonly damageWatch: DamageWatch;
  readonly log: Log;
}

/** `stop`: for good. `restart`: another daemon, of the version then installed, goes on with the mounts. */
export type Ending = 'stop' | 'restart';

const UNMOUNT_PATIENCE_MS = 5000;
const WATCH_INTERVAL_MS = 5000;

/**
 * The running whole: every operation that programs and people can ask for, whichever way they ask.
 *
 * Operations on one volume run one after another, on different volumes at once. From the moment of `stop` on new ones
 * are refused with DAEMON_STOPPING, and what runs is finished first.
 */
export class Daemon {
  readonly #parts: DaemonParts;
  readonly #turns = new SerialQueue();
  readonly #startedAt = new Date();
  readonly #started = Promise.withResolvers<undefined>();
  readonly #endAsked = Promise.withResolvers<Ending>();
  readonly #watchdog: Watchdog;
  readonly #hurry = new AbortController();
  #phase: DaemonPhase = 'starting';
  #starting: Promise<void> | undefined;
  #stopping: Promise<void> | undefined;
  #mountWatch: NodeJS.Timeout | undefined;

  constructor(parts: DaemonParts) {
    this.#parts = parts;
    const { descriptors, log } = parts;
    const notify = (state: string): void => {
      descriptors.notify(state);
    };
    this.#watchdog = new Watchdog({ notify, progress: () => this.#progress(), log });
    this.#started.promise.catch(() => undefined); // start() itself throws it; not everybody awaits `started`.
  }

  get configuration(): Configuration {
    return this.#parts.configuration;
  }

  get paths(): StoragePath {
    return this.#parts.paths;
  }

  get phase(): DaemonPhase {
    return this.#phase;
  }

  /** Resolves when every volume has been tried, rejects when the start failed. */
  get started(): Promise<undefined> {
    return this.#started.promise;
  }

  /** Whether programs wait on mounts that an earlier daemon left: what can wait must not delay the start then. */
  get resumes(): boolean {
    return this.#parts.descriptors.inherited.size > 0;
  }

  /** Resolves when somebody asked the daemon to end through one of its faces. */
  get endAsked(): Promise<Ending> {
    return this.#endAsked.promise;
  }

  askToStop(): void {
    this.#endAsked.resolve('stop');
  }

  /** @throws GalleonError RESTART_UNSUPPORTED when mounts would not outlive this daemon */
  askToRestart(): void {
    const hindrance = this.#parts.mounts.handOverHindrance;
    if (hindrance !== undefined) {
      throw new GalleonError(
        'RESTART_UNSUPPORTED',
        `the daemon cannot be restarted under its mounts: ${hindrance}; use "galleonfs stop" and start it again`,
      );
    }
    this.#endAsked.resolve('restart');
  }

  /**
   * Settles what a crash interrupted, opens every volume and mounts those that are to be. A volume that fails does not
   * stop the others: `status` shows the reason. `beforeReady` runs when the mounts are served, before whoever started the
   * daemon is told that it is ready: what they may then rely on must be there.
   */
  async start(beforeReady: () => Promise<void> = () => Promise.resolve()): Promise<void> {
    this.#starting = this.#start(beforeReady);
    await this.#starting;
  }

  /**
   * Finishes what runs, unmounts everything, checkpoints and closes the stores, and gives the storage path free.
   * `beforeRelease` runs last while the storage path is still held: what another daemon would make anew, such as the
   * control socket, must be gone by then.
   * @throws GalleonError when a store did not close cleanly; everything else has been closed even so
   */
  async stop(beforeRelease: () => Promise<void> = () => Promise.resolve()): Promise<void> {
    this.#stopping ??= this.#stop(beforeRelease);
    await this.#stopping;
  }

  /**
   * Checkpoints, stops serving and closes everything, and leaves the mounts to the next daemon: what is used on them waits.
   * `beforeRelease` as for `stop`.
   * @throws GalleonError when a store did not close cleanly; the next daemon recovers it
   */
  async handOver(beforeRelease: () => Promise<void>): Promise<void> {
    this.#stopping ??= this.#handOver(beforeRelease);
    await this.#stopping;
  }

  /** Makes a stop that is under way unmount lazily instead of waiting for open files. */
  hurry(): void {
    this.#hurry.abort();
  }

  status(boundAddress: string | null): DaemonStatus {
    const { configuration, descriptors, mounts, paths } = this.#parts;
    return {
      version: VERSION,
      pid: process.pid,
      phase: this.#phase,
      startedAt: this.#startedAt.toISOString(),
      uptimeMs: Date.now() - this.#startedAt.getTime(),
      storagePath: paths.root,
      mountPoint: configuration.mountPoint,
      bindAddress: boundAddress,
      fuseDriver: mounts.driverName,
      descriptorStore: descriptors.kind,
      memoryBytes: process.memoryUsage.rss(),
      volumes: this.listVolumes(),
    };
  }

  storageClasses(): StorageClass[] {
    return listStorageClasses(this.#parts.catalog);
  }

  listVolumes(): VolumeView[] {
    const { jobs, mounts, volumes } = this.#parts;
    const records = jobs.list();
    return volumes.list().map((volume) => viewVolume(volume, mounts.find(volume.name), records));
  }

  /** @throws GalleonError VOLUME_NAME_INVALID, VOLUME_NOT_FOUND */
  showVolume(name: string): VolumeDetails {
    const volume = this.#parts.volumes.get(name);
    return viewVolumeDetails(volume, this.#parts.mounts.find(volume.name), this.#parts.jobs.list());
  }

  /** @throws GalleonError VOLUME_NAME_INVALID, VOLUME_NOT_FOUND, or why the volume is not open */
  showDamage(name: string): DamageView {
    const { store } = this.#parts.volumes.get(name);
    this.#parts.damageWatch.look();
    return { volume: name, checksumFailures: store.stats().checksumFailures, damage: store.damage() };
  }

  /**
   * Makes a volume and, unless told not to, mounts it; if the mount fails the volume is taken back.
   * @throws GalleonError as Volumes.create and Mounts.mount
   */
  async createVolume(order: CreateVolumeOrder): Promise<VolumeDetails> {
    return await this.#exclusively(order.name, async () => {
      const { volumes, mounts } = this.#parts;
      const { mount: wanted, ...rest } = order;
      const preferences = { ...DEFAULT_MOUNT_PREFERENCES, ...wanted?.preferences };
      const path = wanted?.path === undefined ? {} : { path: wanted.path };
      const request = { ...rest, mount: { atStart: wanted !== null, ...path, preferences } };
      volumes.check(request);
      if (wanted !== null) await mounts.check(order.name, wanted?.path);
      const volume = await volumes.create(request);
      if (wanted !== null) {
        try {
          await mounts.mount(volume, wanted?.path, preferences);
        } catch (error) {
          await volumes.delete(volume);
          throw error;
        }
      }
      return this.showVolume(volume.name);
    });
  }

  /**
   * Unmounts and deletes a volume with its data, for good.
   * @throws GalleonError VOLUME_NOT_FOUND; VOLUME_MOUNTED while files on it are open, unless `force`
   */
  async deleteVolume(name: string, options: { readonly force: boolean }): Promise<void> {
    await this.#exclusively(name, async () => {
      const { jobs, volumes, mounts } = this.#parts;
      const volume = volumes.get(name);
      if (mounts.find(volume.name) !== undefined) {
        await mounts.unmount(volume.name, { lazy: options.force }).catch((error: unknown) => {
          throw inUse(name, toGalleonError(error));
        });
      }
      await jobs.forget(volume.record.id);
      await volumes.delete(volume);
    });
  }

  /**
   * Mounts a volume; the path and preferences are remembered for the next start.
   * @throws GalleonError VOLUME_NOT_FOUND, VOLUME_MOUNTED, why the store cannot be opened, as Mounts.mount
   */
  async mountVolume(name: string, { path, preferences }: MountRequest): Promise<VolumeDetails> {
    return await this.#exclusively(name, async () => {
      const { volumes, mounts } = this.#parts;
      const volume = volumes.get(name);
      await mounts.forgetVanished(volume.name);
      await volumes.open(volume);
      const all = { ...DEFAULT_MOUNT_PREFERENCES, ...preferences };
      await mounts.mount(volume, path, all);
      volume.clearFailure();
      const { atStart } = volume.record.mount;
      await volumes.setMountWish(volume, { atStart, ...(path === undefined ? {} : { path }), preferences: all });
      return this.showVolume(name);
    });
  }

  /**
   * Unmounts a volume, named by its name or by the path it is mounted at; until the next start.
   * @throws GalleonError VOLUME_NOT_FOUND, VOLUME_NOT_MOUNTED, MOUNT_BUSY or FUSE_BUSY unless `lazy`
   */
  async unmountVolume(target: string, options: { readonly lazy: boolean }): Promise<VolumeDetails> {
    const name = target.startsWith('/') ? await this.#volumeAt(target) : this.#parts.volumes.get(target).name;
    return await this.#exclusively(name, async () => {
      await this.#parts.mounts.unmount(name, options);
      return this.showVolume(name);
    });
  }

  /**
   * Starts verifying a volume against its medium, in the background; without a name, all that are open and not being
   * scrubbed already.
   * @throws GalleonError VOLUME_NOT_FOUND, why its store is not open, JOB_RUNNING
   */
  async startScrub(
    name: string | undefined,
    { rateBytesPerSecond = DEFAULT_SCRUB_RATE }: { readonly rateBytesPerSecond?: number | undefined },
  ): Promise<JobView[]> {
    this.#refuseWhenStopping();
    await this.#started.promise;
    const { jobs, volumes } = this.#parts;
    const started: JobView[] = [];
    for (const volume of name === undefined ? volumes.list() : [volumes.get(name)]) {
      if (name === undefined && (volume.openStore === undefined || this.#isScrubbed(volume))) continue;
      await volumes.open(volume);
      started.push(viewJob(await jobs.start(SCRUB, volume.record, { rateBytesPerSecond })));
    }
    return started;
  }

  /** Long work, under way and ended, the latest first. */
  listJobs(): JobView[] {
    return this.#parts.jobs.list().map(viewJob);
  }

  /** @throws GalleonError JOB_NOT_FOUND */
  showJob(id: string): JobView {
    return viewJob(this.#parts.jobs.get(id));
  }

  /** Resolves when it has ended. @throws GalleonError JOB_NOT_FOUND, JOB_ENDED */
  async cancelJob(id: string): Promise<JobView> {
    return viewJob(await this.#parts.jobs.cancel(id));
  }

  /** For the metrics. */
  readings(): VolumeReading[] {
    const records = this.#parts.jobs.list();
    return this.#parts.volumes.list().map((volume) => ({
      name: volume.name,
      stats: volume.openStore?.stats(),
      mount: this.#parts.mounts.find(volume.name)?.handle.stats(),
      failed: volume.failure !== undefined,
      lastScrubAt: lastDoneScrub(records, volume.record.id)?.endedAt ?? undefined,
      scrubbing: this.#isScrubbed(volume),
    }));
  }

  #isScrubbed({ record }: Volume): boolean {
    return latestScrub(this.#parts.jobs.list(), record.id)?.endedAt === null;
  }

  async #start(beforeReady: () => Promise<void>): Promise<void> {
    try {
      const { descriptors, mounts, volumes } = this.#parts;
      await volumes.settle();
      const resumable = await mounts.takeStock();
      // Those that somebody waits on come first.
      await Promise.all([...resumable].map(async ([name, mount]) => await this.#resume(name, mount)));
      mounts.settled();
      await Promise.all(volumes.list().map(async (volume) => await this.#mountAtStart(volume)));
      await beforeReady();
      descriptors.notify('READY=1');
      this.#watchdog.start(process.env);
      if (descriptors.kind !== 'none') await warnAboutRequestTimeout(this.#parts.log);
      this.#parts.damageWatch.look();
      this.#parts.damageWatch.start(WATCH_INTERVAL_MS);
      this.#mountWatch = setInterval(() => void this.#forgetVanishedMounts(), WATCH_INTERVAL_MS).unref();
      // stop() may have been called meanwhile.
      if (this.#phase === 'starting') {
        this.#phase = 'running';
        this.#parts.jobs.resume();
        this.#parts.scrubSchedule?.start();
      }
      this.#started.resolve(undefined);
    } catch (error) {
      this.#started.reject(error);
      throw error;
    }
  }

  async #resume(name: string, mount: ResumableMount): Promise<void> {
    const { log, mounts, volumes } = this.#parts;
    const volume = volumes.list().find((candidate) => candidate.name === name);
    try {
      if (volume === undefined) throw new GalleonError('VOLUME_NOT_FOUND', `there is no volume "${name}" any more`);
      await volumes.open(volume).catch(async (error: unknown) => {
        await mounts.abandon(mount);
        throw error;
      });
      await mounts.resume(volume, mount);
    } catch (error) {
      const failure = toGalleonError(error, `the mount of volume "${name}" cannot be resumed`);
      volume?.failed(failure);
      log.error(
        { volume: name, code: failure.code, reason: failure.message },
        `the mount of volume "${name}" was lost: programs that use it see errors`,
      );
    }
  }

  async #mountAtStart(volume: Volume): Promise<void> {
    const { atStart, path, preferences } = volume.record.mount;
    await this.#parts.volumes.open(volume).catch(() => undefined); // The volume shows why.
    if (!atStart || volume.openStore === undefined || this.#phase !== 'starting') return;
    if (this.#parts.mounts.find(volume.name) !== undefined) return;
    try {
      await this.#turns.run(volume.name, async () => await this.#parts.mounts.mount(volume, path, preferences));
      volume.clearFailure();
    } catch (error) {
      const failure = toGalleonError(error, `volume "${volume.name}" cannot be mounted`);
      volume.failed(failure);
      this.#parts.log.error(
        { volume: volume.name, code: failure.code, reason: failure.message },
        `volume "${volume.name}" could not be mounted`,
      );
    }
  }

  async #volumeAt(path: string): Promise<string> {
    const mounted = await this.#parts.mounts.findByPath(path);
    if (mounted !== undefined) return mounted.volume.name;
    throw new GalleonError('VOLUME_NOT_MOUNTED', `no volume of this daemon is mounted at ${path}`);
  }

  async #forgetVanishedMounts(): Promise<void> {
    const { mounts, log } = this.#parts;
    try {
      for (const name of await mounts.vanished()) {
        await this.#turns.run(name, async () => await mounts.forgetVanished(name));
      }
    } catch (error) {
      log.warn({ error }, 'the mount table could not be read');
    }
  }

  async #exclusively<Result>(volumeName: string, operation: () => Promise<Result>): Promise<Result> {
    this.#refuseWhenStopping();
    await this.#started.promise;
    return await this.#turns.run(volumeName, async () => {
      this.#refuseWhenStopping();
      return await operation();
    });
  }

  #refuseWhenStopping(): void {
    if (this.#phase === 'stopping') throw new GalleonError('DAEMON_STOPPING', 'the daemon is stopping');
  }

  async #stop(beforeRelease: () => Promise<void>): Promise<void> {
    const { descriptors, mounts } = this.#parts;
    descriptors.notify('STOPPING=1');
    await this.#end(async () => {
      await mounts.unmountAll(UNMOUNT_PATIENCE_MS, this.#hurry.signal);
    }, beforeRelease);
  }

  async #handOver(beforeRelease: () => Promise<void>): Promise<void> {
    const { mounts, volumes } = this.#parts;
    await this.#end(async () => {
      // While requests are still served, so that little is left to do while they wait.
      await volumes.checkpoint();
      await mounts.handOver();
    }, beforeRelease);
  }

  /** `leaveMounts`: nothing is served any more when it resolves. */
  async #end(leaveMounts: () => Promise<void>, beforeRelease: () => Promise<void>): Promise<void> {
    const { catalog, damageWatch, jobs, scrubSchedule, volumes } = this.#parts;
    this.#phase = 'stopping';
    await this.#starting?.catch(() => undefined);
    clearInterval(this.#mountWatch);
    this.#watchdog.stop();
    scrubSchedule?.stop();
    await jobs.stop();
    await this.#turns.idle();
    await leaveMounts();
    damageWatch.look();
    damageWatch.stop();
    try {
      await volumes.close();
    } finally {
      await beforeRelease();
      await catalog.close();
    }
  }

  #progress(): MountProgress[] {
    return this.#parts.mounts.list().flatMap(({ volume, handle }) => {
      const { requests, inFlight } = handle.stats();
      return inFlight === undefined ? [] : [{ volume: volume.name, inFlight, finished: requests - inFlight }];
    });
  }
}

function inUse(name: string, error: GalleonError): GalleonError {
  if (error.kind !== 'busy') return error;
  return new GalleonError(
    'VOLUME_MOUNTED',
    `volume "${name}" is in use: close the files on it first, or delete it with --force`,
    { cause: error },
  );
}
