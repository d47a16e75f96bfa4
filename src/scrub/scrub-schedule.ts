import { createHash } from 'node:crypto';
import type { VolumeRecord } from '../catalog/index.ts';
import { toGalleonError } from '../errors/index.ts';
import type { Jobs } from '../job/index.ts';
import type { Log } from '../lib/index.ts';
import type { Volumes } from '../volume/index.ts';
import { latestScrub, SCRUB } from './scrub-records.ts';
import { DEFAULT_SCRUB_RATE, type ScrubOptions } from './scrub-work.ts';

interface ScheduleParts {
  readonly intervalMs: number;
  readonly jobs: Pick<Jobs, 'list' | 'start'>;
  readonly volumes: Pick<Volumes, 'list'>;
  readonly log: Log;
  readonly now?: () => Date;
}

const LOOK_INTERVAL_MS = 60_000;

/**
 * Scrubs every open volume once an interval, one after another. A new volume's first scrub comes after a share of the
 * interval that its id decides, so that volumes made together are not scrubbed together.
 */
export class ScrubSchedule {
  readonly #parts: ScheduleParts;
  #timer: NodeJS.Timeout | undefined;

  constructor(parts: ScheduleParts) {
    this.#parts = parts;
  }

  start(): void {
    this.#timer = setInterval(() => void this.look(), LOOK_INTERVAL_MS).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Starts the scrub that has been due for longest, unless one is under way. */
  async look(): Promise<void> {
    const { jobs, log, volumes } = this.#parts;
    const records = jobs.list();
    if (records.some(({ kind, endedAt }) => kind === SCRUB && endedAt === null)) return;
    const nowMs = (this.#parts.now?.() ?? new Date()).getTime();
    const [next] = volumes
      .list()
      .filter(({ openStore }) => openStore !== undefined)
      .map(({ record }) => ({ record, dueMs: this.dueMs(record) }))
      .filter(({ dueMs }) => dueMs <= nowMs)
      .sort((a, b) => a.dueMs - b.dueMs);
    if (next === undefined) return;
    const options: ScrubOptions = { rateBytesPerSecond: DEFAULT_SCRUB_RATE };
    await jobs.start(SCRUB, next.record, options).catch((error: unknown) => {
      const { code, message } = toGalleonError(error);
      log.warn({ volume: next.record.name, code }, `the scrub that is due was not started: ${message}`);
    });
  }

  /** When the volume's next scrub is due, as a Unix time. */
  dueMs(volume: VolumeRecord): number {
    const { intervalMs, jobs } = this.#parts;
    const last = latestScrub(jobs.list(), volume.id)?.endedAt;
    if (last !== undefined && last !== null) return Date.parse(last) + intervalMs;
    return Date.parse(volume.createdAt) + intervalMs * shareOf(volume.id);
  }
}

/** From 0 to 1, the same for the same id. */
function shareOf(id: string): number {
  return createHash('sha256').update(id).digest().readUInt32LE(0) / 2 ** 32;
}
