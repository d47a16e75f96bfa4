import { GalleonError } from '../errors/index.ts';
import type { VolumeStore } from '../storage/index.ts';

/** What a position passed to `seek` counts from. */
export type SeekOrigin = 'start' | 'current' | 'end';

/**
 * A volume as a file with a position, in bytes. Positions and lengths are `number`s: a volume ends at 2^46 at most, far
 * below 2^53, so no `bigint` is needed. Reads and writes advance the position at the moment they are called, so calls
 * that overlap in time get the ranges they would have got one after another.
 */
export class VolumeFile {
  readonly #store: VolumeStore;
  #positionBytes = 0;
  #closed = false;

  constructor(store: VolumeStore) {
    this.#store = store;
  }

  get positionBytes(): number {
    return this.#positionBytes;
  }

  get sizeBytes(): number {
    return this.#store.sizeBytes;
  }

  /**
   * Moves the position; the end of the volume is the last one possible. Resolves nothing: it is immediate.
   * @returns the new position. @throws GalleonError STORE_INVALID_RANGE before the start or beyond the end
   */
  seek(offsetBytes: number, origin: SeekOrigin = 'start'): number {
    this.#assertOpen();
    const base = { start: 0, current: this.#positionBytes, end: this.#store.sizeBytes }[origin];
    const target = base + offsetBytes;
    if (!Number.isSafeInteger(target) || target < 0 || target > this.#store.sizeBytes) {
      throw new GalleonError(
        'STORE_INVALID_RANGE',
        `position ${target} is outside the volume, which has ${this.#store.sizeBytes} bytes`,
      );
    }
    this.#positionBytes = target;
    return target;
  }

  /**
   * Reads up to `lengthBytes` from the position, fewer at the end of the volume, none at it.
   * @throws GalleonError STORE_IO when a block fails its checksum
   */
  async read(lengthBytes: number): Promise<Buffer> {
    const at = this.#advance(Math.min(lengthBytes, this.#store.sizeBytes - this.#positionBytes), 'read');
    const into = Buffer.alloc(this.#positionBytes - at);
    if (into.length > 0) await this.#store.read(at, into);
    return into;
  }

  /**
   * Writes all of `data` at the position. It survives the death of the process when this resolves, and power loss after
   * the next `flush`, or at once with `durable`. `data` must not change before this resolves.
   * @throws GalleonError STORE_INVALID_RANGE when it would pass the end (nothing is written), STORE_NO_SPACE,
   *   STORE_READ_ONLY, STORE_IO
   */
  async write(data: Uint8Array, options: { readonly durable?: boolean } = {}): Promise<void> {
    if (data.length > this.#store.sizeBytes - this.#positionBytes) {
      throw new GalleonError(
        'STORE_INVALID_RANGE',
        `${data.length} bytes at position ${this.#positionBytes} would pass the end of the volume, which has ${this.#store.sizeBytes} bytes`,
      );
    }
    const at = this.#advance(data.length, 'write');
    if (data.length > 0) await this.#store.write(at, data, options);
  }

  /** What was written before this call is durable when it resolves. */
  async flush(): Promise<void> {
    this.#assertOpen();
    await this.#store.flush();
  }

  /** Flushes and ends this file; the volume stays open. Idempotent. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    if (!this.#store.readOnly) await this.#store.flush();
  }

  /** @returns the position before. */
  #advance(lengthBytes: number, doing: string): number {
    this.#assertOpen();
    if (!Number.isSafeInteger(lengthBytes) || lengthBytes < 0) {
      throw new GalleonError('STORE_INVALID_RANGE', `cannot ${doing} ${lengthBytes} bytes`);
    }
    const before = this.#positionBytes;
    this.#positionBytes += lengthBytes;
    return before;
  }

  #assertOpen(): void {
    if (this.#closed) throw new GalleonError('STORE_CLOSED', 'this volume file is closed');
  }
}
