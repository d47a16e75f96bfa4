/**
 * Finds things in the files of a stopped volume store, to damage them. Knows just enough of the on-disk format
 * (native/store/format.h) and shares no code with it, so that the two can disagree.
 */
import { readFileSync, readdirSync, openSync, readSync, writeSync, closeSync } from 'node:fs';
import { join } from 'node:path';

export interface Place {
  readonly file: string;
  readonly offset: number;
}

const PAGE_BYTES = 4096;
const SUMMARY_OFFSET = 8192;
const ENTRY_BYTES = 32;
const SEGMENT = { blockSizeAt: 44, slotsAt: 48, headerBytes: 128 };
const SUPERBLOCK = { generationAt: 16, heightAt: 52, mapRootAt: 88 };
const LEAF_SHIFT = 9;
const NODE_SHIFT = 7;
const POINTER_BYTES = 32;

export class StoreFiles {
  readonly directory: string;

  constructor(directory: string) {
    this.directory = directory;
  }

  /** Every slot that holds exactly these bytes: old and new copies. */
  payloads(content: Buffer): Place[] {
    return this.#segments().flatMap(({ file, bytes, slots, blockSize, payloadAt }) => {
      const found: Place[] = [];
      for (let slot = 0; slot < slots; slot += 1) {
        const offset = payloadAt + slot * blockSize;
        if (bytes.compare(content, 0, content.length, offset, offset + content.length) === 0)
          found.push({ file, offset });
      }
      return found;
    });
  }

  /** The summary entry of the slot whose payload begins at `payload`. */
  summaryEntry(payload: Place): Place {
    const segment = this.#segments().find(({ file }) => file === payload.file);
    if (segment === undefined) throw new Error(`${payload.file} is no segment`);
    const slot = (payload.offset - segment.payloadAt) / segment.blockSize;
    return { file: payload.file, offset: SUMMARY_OFFSET + slot * ENTRY_BYTES };
  }

  /** The slot (0 or 1) and place of the superblock with the highest generation. */
  newestSuperblock(): Place {
    const bytes = readFileSync(join(this.directory, 'superblock'));
    const generation = (slot: number): bigint => bytes.readBigUInt64LE(slot * PAGE_BYTES + SUPERBLOCK.generationAt);
    return { file: 'superblock', offset: generation(1) > generation(0) ? PAGE_BYTES : 0 };
  }

  /** The map pages on the way to a logical block, the root first and the leaf last. */
  mapPages(logicalBlock: number): Place[] {
    const superblock = readFileSync(join(this.directory, 'superblock')).subarray(this.newestSuperblock().offset);
    const map = readFileSync(join(this.directory, 'map'));
    const height = superblock.readUInt32LE(SUPERBLOCK.heightAt);
    const leaf = logicalBlock >> LEAF_SHIFT;
    const places: Place[] = [];
    let page = Number(superblock.readBigUInt64LE(SUPERBLOCK.mapRootAt));
    for (let level = height; page !== 0; level -= 1) {
      places.push({ file: 'map', offset: page * PAGE_BYTES });
      if (level === 0) return places;
      const child = (leaf >> (NODE_SHIFT * (level - 1))) & ((1 << NODE_SHIFT) - 1);
      page = Number(map.readBigUInt64LE(page * PAGE_BYTES + child * POINTER_BYTES));
    }
    throw new Error(`no map page leads to block ${logicalBlock}`);
  }

  /** The files with their sizes. */
  list(): { file: string; bytes: number }[] {
    return readdirSync(this.directory).map((file) => ({
      file,
      bytes: readFileSync(join(this.directory, file)).length,
    }));
  }

  /** Flips bits of one byte; doing it again repairs it. */
  flip({ file, offset }: Place, bits = 0x10): void {
    const descriptor = openSync(join(this.directory, file), 'r+');
    try {
      const byte = Buffer.alloc(1);
      readSync(descriptor, byte, 0, 1, offset);
      writeSync(descriptor, Buffer.of((byte[0] ?? 0) ^ bits), 0, 1, offset);
    } finally {
      closeSync(descriptor);
    }
  }

  #segments(): { file: string; bytes: Buffer; slots: number; blockSize: number; payloadAt: number }[] {
    const names = readdirSync(this.directory).filter((name) => name.startsWith('segment-'));
    return names
      .map((file) => ({ file, bytes: readFileSync(join(this.directory, file)) }))
      .filter(({ bytes }) => bytes.length > SUMMARY_OFFSET && bytes.readUInt32LE(SEGMENT.slotsAt) > 0)
      .map(({ file, bytes }) => {
        const slots = bytes.readUInt32LE(SEGMENT.slotsAt);
        const blockSize = bytes.readUInt32LE(SEGMENT.blockSizeAt);
        const payloadAt = Math.ceil((SUMMARY_OFFSET + slots * ENTRY_BYTES) / 65_536) * 65_536;
        return { file, bytes, slots, blockSize, payloadAt };
      });
  }
}
