/**
 * A program: writes numbered versions of random 4 KiB blocks to a file, and prints `block version` after each write that
 * was acknowledged, until a write fails (the daemon was killed) or it has done `count`.
 *
 *   node acknowledged-writer.ts FILE BLOCKS COUNT
 */
import { closeSync, openSync, writeSync } from 'node:fs';
import { BLOCK_BYTES, versionedBlock } from './versioned-block.ts';

const [file = '', blocks = '0', count = '0'] = process.argv.slice(2);
const descriptor = openSync(file, 'r+');
const versions = new Map<number, number>();
try {
  for (let written = 0; written < Number(count); written += 1) {
    const block = Math.floor(Math.random() * Number(blocks));
    const version = (versions.get(block) ?? 0) + 1;
    versions.set(block, version);
    writeSync(descriptor, versionedBlock(block, version), 0, BLOCK_BYTES, block * BLOCK_BYTES);
    writeSync(1, `${block} ${version}\n`);
  }
} catch (error) {
  process.stderr.write(`${String(error)}\n`);
  process.exitCode = 1;
}
try {
  closeSync(descriptor);
} catch {
  // The mount is dead.
}
