import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A directory that is gone when its scope ends. Big files go into it, so not on a tmpfs. */
export class Scratch implements AsyncDisposable {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  static async make(): Promise<Scratch> {
    return new Scratch(await mkdtemp(join(process.env['GALLEONFS_TEST_SCRATCH'] ?? tmpdir(), 'galleonfs-e2e-')));
  }

  at(name: string): string {
    return join(this.path, name);
  }

  async write(name: string, content: Uint8Array): Promise<void> {
    await writeFile(this.at(name), content);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.path, { recursive: true, force: true });
  }
}
