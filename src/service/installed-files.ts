import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rename, rm, rmdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { GalleonError } from '../errors/index.ts';

/**
 * Which files an installation has written, and what was in them: only those are ever overwritten or removed.
 *
 * All paths are those of the system that is installed to; `root` stands before them on disk ('' for this very system).
 */
export class InstalledFiles {
  static readonly path = '/etc/galleonfs/installed.json';

  readonly #root: string;
  /** SHA-256 by path. */
  readonly #hashes: Map<string, string>;
  /** Made for the installation. */
  readonly #directories: Set<string>;

  private constructor(root: string, hashes: Map<string, string>, directories: Set<string>) {
    this.#root = root;
    this.#hashes = hashes;
    this.#directories = directories;
  }

  /** @throws GalleonError SERVICE_RECORD_DAMAGED */
  static async read(root: string): Promise<InstalledFiles> {
    const content = await contentOf(join(root, InstalledFiles.path));
    if (content === undefined) return new InstalledFiles(root, new Map(), new Set());
    try {
      const { files, directories } = JSON.parse(content) as { files: Record<string, string>; directories: string[] };
      return new InstalledFiles(root, new Map(Object.entries(files)), new Set(directories));
    } catch (error) {
      throw new GalleonError(
        'SERVICE_RECORD_DAMAGED',
        `${join(root, InstalledFiles.path)}, which says what was installed, cannot be read: remove it, and install again with --force`,
        { cause: error },
      );
    }
  }

  get paths(): string[] {
    return [...this.#hashes.keys()];
  }

  get directories(): string[] {
    return [...this.#directories];
  }

  async content(path: string): Promise<string | undefined> {
    return await contentOf(join(this.#root, path));
  }

  /** Whether the file is there as it was installed. */
  async isUnchanged(path: string): Promise<boolean> {
    const content = await this.content(path);
    return content !== undefined && hash(content) === this.#hashes.get(path);
  }

  /** Replaces the file in one step. `ours`: the installation may overwrite and remove it later. */
  async write(path: string, content: string, ours: boolean): Promise<void> {
    const there = join(this.#root, path);
    await this.makeDirectory(dirname(path));
    await writeFile(`${there}.new`, content, { mode: 0o644 });
    await rename(`${there}.new`, there);
    if (ours) this.#hashes.set(path, hash(content));
  }

  /** Takes a file that has just what would be written for installed. */
  adopt(path: string, content: string): void {
    this.#hashes.set(path, hash(content));
  }

  async remove(path: string): Promise<void> {
    await rm(join(this.#root, path), { force: true });
    this.#hashes.delete(path);
  }

  /** Makes it, with its parents, if it is missing. */
  async makeDirectory(path: string): Promise<void> {
    const first = await mkdir(join(this.#root, path), { recursive: true, mode: 0o755 });
    if (first !== undefined) this.#directories.add(path);
  }

  isMissing(path: string): boolean {
    return !existsSync(join(this.#root, path));
  }

  /** Removes a directory made for the installation, if it is empty. Whether it has gone. */
  async removeDirectory(path: string): Promise<boolean> {
    this.#directories.delete(path);
    try {
      await rmdir(join(this.#root, path));
      return true;
    } catch {
      return false;
    }
  }

  async save(): Promise<void> {
    await this.makeDirectory(dirname(InstalledFiles.path));
    const record = { files: Object.fromEntries(this.#hashes), directories: [...this.#directories] };
    await writeFile(join(this.#root, InstalledFiles.path), `${JSON.stringify(record, undefined, 2)}\n`, {
      mode: 0o644,
    });
  }

  async removeRecord(): Promise<void> {
    await rm(join(this.#root, InstalledFiles.path), { force: true });
  }
}

async function contentOf(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR'))
      return undefined;
    throw error;
  }
}

function hash(content: string): string {
  return createHash('sha256').update(content).digest('hex');
}
