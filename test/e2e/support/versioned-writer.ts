/** Writes numbered versions of a volume's blocks through its mount and knows what each block may hold. */
import { constants } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { BLOCK_BYTES, versionedBlock, versionOf } from './versioned-block.ts';

const VERIFY_BLOCKS = 256;

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error);
}

export class VersionedWriter {
  readonly #path: string;
  readonly #blocks: number;
  /** Versions that each block may hold: the acknowledged one, and those whose writing failed since. */
  readonly #held = new Map<number, Set<number>>();
  #version = 0;
  /** How often each error was seen. */
  readonly errors = new Map<string, number>();

  constructor(path: string, blocks: number) {
    this.#path = path;
    this.#blocks = blocks;
  }

  /** Random writes and some flushes until `enough` says so. Returns how many writes were acknowledged. */
  async write(enough: (done: number, refused: number) => boolean): Promise<number> {
    let done = 0;
    let refused = 0;
    const data = await open(this.#path, constants.O_RDWR);
    try {
      while (!enough(done, refused)) {
        if (await this.#writeOne(data)) done += 1;
        else refused += 1;
        if (Math.random() < 0.02) await this.#try(async () => await data.datasync());
      }
    } finally {
      await data.close();
    }
    return done;
  }

  async flush(): Promise<void> {
    const data = await open(this.#path, constants.O_RDWR);
    try {
      await data.datasync();
    } finally {
      await data.close();
    }
  }

  /** One write and a flush. When the flush fails, and again when asked again, what was written may or may not be there later. */
  async flushAfterWrite(): Promise<void> {
    const data = await open(this.#path, constants.O_RDWR);
    const before = new Map(this.#held);
    try {
      await this.#writeOne(data);
      await data.datasync();
    } catch (error) {
      const again = await data.datasync().catch(() => 'failed');
      if (again !== 'failed') throw new Error('a failed fsync was retried into success', { cause: error });
      for (const [block, held] of this.#held) {
        this.#held.set(block, new Set([...(before.get(block) ?? [0]), ...held]));
      }
      throw error;
    } finally {
      await data.close();
    }
  }

  /** Discards everything from a block on. */
  async discardFrom(block: number): Promise<void> {
    const data = await open(this.#path, constants.O_RDWR);
    try {
      await data.truncate(block * BLOCK_BYTES);
    } finally {
      await data.close();
    }
    for (const held of this.#held.keys()) if (held >= block) this.#held.delete(held);
  }

  /** @throws Error naming the first block that holds what it must not, or cannot be read */
  async verify(): Promise<void> {
    const data = await open(this.#path, 'r');
    const buffer = Buffer.alloc(VERIFY_BLOCKS * BLOCK_BYTES);
    try {
      for (let first = 0; first < this.#blocks; first += VERIFY_BLOCKS) {
        const { bytesRead } = await data.read(buffer, 0, buffer.length, first * BLOCK_BYTES);
        for (let i = 0; i * BLOCK_BYTES < bytesRead; i += 1) {
          const found = versionOf(first + i, buffer.subarray(i * BLOCK_BYTES, (i + 1) * BLOCK_BYTES));
          const held = this.#held.get(first + i) ?? new Set([0]);
          if (!held.has(found)) {
            throw new Error(`${this.#path}, block ${first + i}: version ${found}, not ${[...held].join(' or ')}`);
          }
        }
      }
    } finally {
      await data.close();
    }
  }

  async #writeOne(data: FileHandle): Promise<boolean> {
    const first = Math.floor(Math.random() * this.#blocks);
    const count = Math.min(1 + Math.floor(Math.random() * 16), this.#blocks - first);
    this.#version += 1;
    const version = this.#version;
    const blocks = Array.from({ length: count }, (_, i) => first + i);
    const content = Buffer.concat(blocks.map((block) => versionedBlock(block, version)));
    const done = await this.#try(async () => {
      const { bytesWritten } = await data.write(content, 0, content.length, first * BLOCK_BYTES);
      if (bytesWritten !== content.length) throw Object.assign(new Error('short'), { code: 'SHORT' });
    });
    for (const block of blocks) {
      const held = done ? new Set<number>() : (this.#held.get(block) ?? new Set([0]));
      this.#held.set(block, held.add(version));
    }
    return done;
  }

  async #try(action: () => Promise<void>): Promise<boolean> {
    try {
      await action();
      return true;
    } catch (error) {
      this.errors.set(codeOf(error), (this.errors.get(codeOf(error)) ?? 0) + 1);
      return false;
    }
  }
}
