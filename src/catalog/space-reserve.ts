import { open, rm, stat } from 'node:fs/promises';

/**
 * A file that holds space for the catalog, given up when the file system is full so that volumes can be deleted, and a
 * daemon started, even then.
 */
export class SpaceReserve {
  /** More than LevelDB needs to open, and to write until it is opened again. */
  static readonly BYTES = 4 * 1024 ** 2;
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  async release(): Promise<void> {
    await rm(this.#path, { force: true });
  }

  /** Does nothing where there is no space for it: the next call may find some. */
  async restore(): Promise<void> {
    if (await this.#isThere()) return;
    try {
      const file = await open(this.#path, 'w', 0o600);
      try {
        await file.writeFile(Buffer.alloc(SpaceReserve.BYTES));
        await file.sync();
      } finally {
        await file.close();
      }
    } catch {
      await this.release().catch(() => undefined);
    }
  }

  async #isThere(): Promise<boolean> {
    const found = await stat(this.#path).catch(() => undefined);
    return found?.size === SpaceReserve.BYTES;
  }
}
