import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { VolumeId } from '../catalog/index.ts';
import { makeDirectory, syncDirectory } from '../lib/index.ts';

/**
 * The directories of the volume stores, `<storage-path>/volumes/<id>`, mode 0700. Making and removing one is durable
 * when it returns.
 */
export class StoreDirectories {
  readonly #root: string;

  private constructor(root: string) {
    this.#root = root;
  }

  /** Makes the root where it is missing. */
  static async open(root: string): Promise<StoreDirectories> {
    await makeDirectory(root);
    return new StoreDirectories(root);
  }

  path(id: VolumeId): string {
    return join(this.#root, id);
  }

  async make(id: VolumeId): Promise<string> {
    await mkdir(this.path(id), { mode: 0o700 });
    await syncDirectory(this.#root);
    return this.path(id);
  }

  /** Nothing happens where there is none. */
  async remove(id: VolumeId): Promise<void> {
    await rm(this.path(id), { recursive: true, force: true });
    await syncDirectory(this.#root);
  }

  async names(): Promise<string[]> {
    return (await readdir(this.#root)).sort();
  }
}
