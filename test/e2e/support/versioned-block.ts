/** Blocks that say which block and which version of it they are, in all of their bytes. Cheap to make and to verify. */
export const BLOCK_BYTES = 4096;

/** Every 16 bytes: block, version (little-endian). Versions count from 1. */
export function versionedBlock(block: number, version: number): Buffer {
  const content = Buffer.alloc(BLOCK_BYTES);
  content.writeBigUInt64LE(BigInt(block), 0);
  content.writeBigUInt64LE(BigInt(version), 8);
  for (let filled = 16; filled < BLOCK_BYTES; filled *= 2) content.copy(content, filled, 0, filled);
  return content;
}

/** The version a block holds; 0 when it was never written. @throws Error when it is torn, mixed or another block's. */
export function versionOf(block: number, content: Buffer): number {
  const whole = content.subarray(16).equals(content.subarray(0, BLOCK_BYTES - 16));
  const version = Number(content.readBigUInt64LE(8));
  const owner = Number(content.readBigUInt64LE(0));
  if (!whole) throw new Error(`block ${block} holds neither old nor new data`);
  if (version !== 0 && owner !== block) throw new Error(`block ${block} holds data of block ${owner}`);
  return version;
}
