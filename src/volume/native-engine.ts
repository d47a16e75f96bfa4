import type { VolumeId } from '../catalog/index.ts';
import { VolumeStore } from '../storage/index.ts';
import type { StoreEngine } from './store-engine.ts';

/** Stores of the native half. */
export const nativeEngine: StoreEngine = {
  async create(directory, id, { sizeBytes, blockSizeBytes }) {
    await VolumeStore.create(directory, { volumeId: idBytes(id), sizeBytes, blockSizeBytes });
  },
  async open(directory) {
    return await VolumeStore.open(directory);
  },
};

function idBytes(id: VolumeId): Uint8Array {
  return Buffer.from(id.replaceAll('-', ''), 'hex');
}
