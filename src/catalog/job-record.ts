import { randomUUID } from 'node:crypto';
import type { Brand } from '../lib/index.ts';
import type { VolumeId } from './volume-record.ts';

export type JobId = Brand<string, 'JobId'>;

/** `waiting` for its turn and `running` go on after a restart; the others are ends. */
export type JobState = 'waiting' | 'running' | 'done' | 'failed' | 'cancelled';

/** Long work on a volume: what is known of it, and all it needs to go on. */
export interface JobRecord {
  readonly id: JobId;
  /** Such as `scrub`. */
  readonly kind: string;
  readonly volume: string;
  readonly volumeId: VolumeId;
  readonly state: JobState;
  /** ISO 8601, UTC. */
  readonly startedAt: string;
  readonly endedAt: string | null;
  readonly doneBytes: number;
  /** An estimate until the end. */
  readonly totalBytes: number;
  /** The work's own, fit for JSON: how it was asked for, where it is, and what came of it so far. */
  readonly options: unknown;
  readonly position: unknown;
  readonly results: readonly unknown[];
  /** Also those not kept in `results`. */
  readonly resultCount: number;
  readonly failure: { readonly code: string; readonly message: string } | null;
}

export function newJobId(): JobId {
  return randomUUID().slice(0, 8) as JobId;
}
