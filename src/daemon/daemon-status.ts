import type { DescriptorStoreKind } from '../storage/index.ts';
import type { VolumeView } from './volume-view.ts';

export type DaemonPhase = 'starting' | 'running' | 'stopping';

export interface DaemonStatus {
  readonly version: string;
  readonly pid: number;
  readonly phase: DaemonPhase;
  /** ISO 8601, UTC. */
  readonly startedAt: string;
  readonly uptimeMs: number;
  readonly storagePath: string;
  readonly mountPoint: string;
  /** The address actually bound, also when port 0 was asked for; null while there is none. */
  readonly bindAddress: string | null;
  readonly fuseDriver: string;
  /** Who keeps the mounts while the daemon is down; `none`: they end with it. */
  readonly descriptorStore: DescriptorStoreKind;
  /** Resident memory of the whole daemon. */
  readonly memoryBytes: number;
  readonly volumes: readonly VolumeView[];
}
