import type { VolumeId } from '../catalog/index.ts';
import type { VolumeStore } from '../storage/index.ts';
import type { VolumeGeometry } from './volume-geometry.ts';

/** Where volumes get their stores from. */
export interface StoreEngine {
  /** Makes a new, empty, durable store in an existing, empty directory; on failure it is left empty again. */
  create(directory: string, id: VolumeId, geometry: VolumeGeometry): Promise<void>;
  /** Recovers and opens; on failure nothing on disk was changed. */
  open(directory: string): Promise<VolumeStore>;
}
