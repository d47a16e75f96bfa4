import { GalleonError } from '../errors/index.ts';
import { formatByteSize, type ByteCount } from '../lib/index.ts';

export const VOLUME_BYTES_MIN = 1024 ** 2;
export const VOLUME_BYTES_MAX = 64 * 1024 ** 4;
export const BLOCK_SIZES_BYTES: readonly number[] = [4096, 8192, 16384, 32768, 65536];
export const BLOCK_SIZE_BYTES_DEFAULT = 4096;

export interface VolumeGeometry {
  readonly sizeBytes: ByteCount;
  readonly blockSizeBytes: ByteCount;
}

/**
 * Checks a volume's size and block size against each other and the limits.
 * @throws GalleonError VOLUME_BLOCK_SIZE_INVALID, VOLUME_SIZE_INVALID, VOLUME_SIZE_UNALIGNED
 */
export function checkGeometry(sizeBytes: number, blockSizeBytes: number): VolumeGeometry {
  if (!BLOCK_SIZES_BYTES.includes(blockSizeBytes)) {
    throw new GalleonError(
      'VOLUME_BLOCK_SIZE_INVALID',
      `block size ${blockSizeBytes} is not possible: choose one of ${BLOCK_SIZES_BYTES.join(', ')} bytes`,
      { details: { blockSizeBytes } },
    );
  }
  if (!Number.isSafeInteger(sizeBytes) || sizeBytes < VOLUME_BYTES_MIN || sizeBytes > VOLUME_BYTES_MAX) {
    throw new GalleonError(
      'VOLUME_SIZE_INVALID',
      `size ${sizeBytes} bytes (${formatByteSize(Math.max(0, sizeBytes))}) is not possible: a volume has ${formatByteSize(VOLUME_BYTES_MIN)} to ${formatByteSize(VOLUME_BYTES_MAX)}`,
      { details: { sizeBytes } },
    );
  }
  if (sizeBytes % blockSizeBytes !== 0) {
    const below = sizeBytes - (sizeBytes % blockSizeBytes);
    throw new GalleonError(
      'VOLUME_SIZE_UNALIGNED',
      `size ${sizeBytes} bytes is not a multiple of the block size, ${blockSizeBytes}: ${below} or ${below + blockSizeBytes} would be`,
      { details: { sizeBytes, blockSizeBytes } },
    );
  }
  return { sizeBytes: sizeBytes as ByteCount, blockSizeBytes: blockSizeBytes as ByteCount };
}
