import type { VolumeName, VolumeRecord } from '../catalog/index.ts';
import { GalleonError } from '../errors/index.ts';
import type { VolumeStore } from '../storage/index.ts';

/** A volume of the catalog, with its store while that is open, or the reason why it is not. */
export class Volume {
  #record: VolumeRecord;
  #store: VolumeStore | undefined;
  #failure: GalleonError | undefined;

  constructor(record: VolumeRecord) {
    this.#record = record;
  }

  get name(): VolumeName {
    return this.#record.name;
  }

  get record(): VolumeRecord {
    return this.#record;
  }

  /** Why the volume cannot be used; undefined while it can, or was not opened yet. */
  get failure(): GalleonError | undefined {
    return this.#failure;
  }

  get openStore(): VolumeStore | undefined {
    return this.#store;
  }

  /** @throws GalleonError what made opening fail, or VOLUME_STATE_CONFLICT when it is closed. */
  get store(): VolumeStore {
    if (this.#store !== undefined) return this.#store;
    throw this.#failure ?? new GalleonError('VOLUME_STATE_CONFLICT', `volume "${this.name}" is not open`);
  }

  describeBy(record: VolumeRecord): void {
    this.#record = record;
  }

  opened(store: VolumeStore): void {
    this.#store = store;
    this.#failure = undefined;
  }

  failed(failure: GalleonError): void {
    this.#failure = failure;
  }

  /** What failed works again. */
  clearFailure(): void {
    this.#failure = undefined;
  }

  /** Finishes I/O, checkpoints and closes the store. Idempotent. */
  async close(): Promise<void> {
    const store = this.#store;
    this.#store = undefined;
    await store?.close();
  }
}
