/** Blocks that say which block and which version of it they are, in all of their bytes. */
import { createHash } from 'node:crypto';

export const BLOCK_BYTES = 4096;

/** Bytes 0..8: block, 8..16: version (little-endian); the rest follows from them. */
export function versionedBlock(block: number, version: number): Buffer {
  const head = Buffer.alloc(16);
  head.writeBigUInt64LE(BigInt(block), 0);
  head.writeBigUInt64LE(BigInt(version), 8);
  const pattern = createHash('sha256').update(head).digest();
  const content = Buffer.alloc(BLOCK_BYTES, pattern);
  head.copy(content);
  return content;
}

/** The version a block holds; 0 when it was never written. @throws Error when it is torn, mixed or another block's. */
export function versionOf(block: number, content: Buffer): number {
  if (content.every((byte) => byte === 0)) return 0;
  const version = Number(content.readBigUInt64LE(8));
  if (!versionedBlock(block, version).equals(content)) throw new Error(`block ${block} holds neither old nor new data`);
  return version;
}
