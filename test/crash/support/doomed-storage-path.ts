import { Catalog, type VolumeRecord } from '../../../src/catalog/index.ts';
import { silentLog } from '../../../src/lib/index.ts';
import type { VolumeStore } from '../../../src/storage/index.ts';
import { StoreDirectories, Volumes, findCheckTargets, nativeEngine, type Volume } from '../../../src/volume/index.ts';
import { TemporaryDirectory } from '../../unit/support/temporary-directory.ts';

/** Where the process dies, or which steps fail, among the steps that change something outside its memory. */
export interface Doom {
  /** Dies before this step; -1: never. */
  readonly diesBefore?: number;
  /** These steps fail, once each; each either before it did anything, or after. */
  readonly fails?: ReadonlyMap<number, 'before' | 'after'>;
}

class Killed extends Error {}

/** A storage path with real stores and a real catalog, and processes on it that come to an end at a chosen step. */
export class DoomedStoragePath implements AsyncDisposable {
  readonly directory: TemporaryDirectory;
  steps: string[] = [];
  #doom: Doom = {};
  #catalog!: Catalog;
  #stores: VolumeStore[] = [];
  volumes!: Volumes;

  private constructor(directory: TemporaryDirectory) {
    this.directory = directory;
  }

  static async make(): Promise<DoomedStoragePath> {
    const path = new DoomedStoragePath(await TemporaryDirectory.make());
    await path.start();
    return path;
  }

  get storesDirectory(): string {
    return this.directory.at('volumes');
  }

  /** A new process. Recovery's own steps count too, if it is doomed. */
  async start(doom: Doom = {}): Promise<void> {
    this.#catalog = await Catalog.open(this.directory.at('catalog'));
    const catalog = this.#catalog;
    const directories = await StoreDirectories.open(this.storesDirectory);
    this.doom(doom);
    this.volumes = new Volumes({
      catalog: {
        volumes: () => catalog.volumes(),
        volume: (name) => catalog.volume(name),
        storageClasses: () => catalog.storageClasses(),
        putVolume: async (record) => {
          await this.#step(`put ${record.state}`, async () => {
            await catalog.putVolume(record);
          });
        },
        removeVolume: async (name) => {
          await this.#step('remove record', async () => {
            await catalog.removeVolume(name);
          });
        },
      },
      directories: {
        path: (id) => directories.path(id),
        names: async () => await directories.names(),
        make: async (id) => await this.#step('make directory', async () => await directories.make(id)),
        remove: async (id) => {
          await this.#step('remove directory', async () => {
            await directories.remove(id);
          });
        },
      },
      engine: {
        create: async (directory, id, geometry) => {
          await this.#step('create store', async () => {
            await nativeEngine.create(directory, id, geometry);
          });
        },
        open: async (directory) => {
          const store = await this.#step('open store', async () => await nativeEngine.open(directory));
          this.#stores.push(store);
          return store;
        },
      },
      log: silentLog,
    });
    await this.volumes.recover();
  }

  doom(doom: Doom): void {
    this.#doom = doom;
    this.steps = [];
  }

  /** The end of the process: nothing of what it still wanted to do is done. */
  async die(): Promise<void> {
    for (const store of this.#stores.splice(0)) await store.close().catch(() => undefined);
    await this.#catalog.close();
  }

  /** As a process that died left it. */
  async putRecord(record: VolumeRecord): Promise<void> {
    await this.#catalog.putVolume(record);
  }

  /** What does not fit between catalog and directories, and what does not open. */
  async wrong(): Promise<string[]> {
    const { mismatches } = await findCheckTargets(this.#catalog.volumes(), this.storesDirectory, undefined);
    const unsettled = this.#catalog.volumes().filter(({ state }) => state !== 'available');
    const broken = this.volumes.list().filter(({ failure }) => failure !== undefined);
    return [
      ...mismatches,
      ...unsettled.map(({ name, state }) => `${name} is ${state}`),
      ...broken.map(({ name, failure }) => `${name}: ${failure?.message ?? ''}`),
    ];
  }

  async create(name: string): Promise<Volume> {
    return await this.volumes.create({ name, sizeBytes: 1024 ** 2 });
  }

  async #step<Result>(name: string, run: () => Promise<Result>): Promise<Result> {
    const number = this.steps.length;
    const { diesBefore = -1, fails } = this.#doom;
    if (diesBefore >= 0 && number >= diesBefore) throw new Killed(`dead before ${name}`);
    this.steps.push(name);
    const failing = fails?.get(number);
    if (failing === 'before') throw new Error(`${name} failed`);
    const result = await run();
    if (failing === 'after') throw new Error(`${name} failed, though it was done`);
    return result;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.die();
    await this.directory[Symbol.asyncDispose]();
  }
}
