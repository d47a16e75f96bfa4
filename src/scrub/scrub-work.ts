import { setTimeout as sleep } from 'node:timers/promises';
import { GalleonError } from '../errors/index.ts';
import type { JobWork, RunningJob } from '../job/index.ts';
import type { Log } from '../lib/index.ts';
import type { ScrubFind, ScrubPosition, StoreStats } from '../storage/index.ts';
import type { Volume, Volumes } from '../volume/index.ts';
import { ScrubPace } from './scrub-pace.ts';

/** As they stand in the job's record. */
export interface ScrubOptions {
  readonly rateBytesPerSecond: number;
}

export const DEFAULT_SCRUB_RATE = 100 * 1024 ** 2;

/** Verifies a volume against its medium, step by step; the native half moves the bytes, and this decides how fast. */
export function scrubWork(volumes: Volumes, log: Log): JobWork {
  return async (job) => {
    const volume = await openVolume(volumes, job);
    const { rateBytesPerSecond } = job.record.options as ScrubOptions;
    const pace = new ScrubPace(rateBytesPerSecond);
    let position = (job.record.position ?? undefined) as ScrubPosition | undefined;
    let operations = foregroundOperations(volume.store.stats());
    while (!job.signal.aborted) {
      const { store } = volume;
      const startedMs = performance.now();
      const step = await store.scrub(position, pace.stepBytes);
      position = step.position;
      for (const find of step.finds) say(log, volume.name, find);
      const doneBytes = job.record.doneBytes + step.doneBytes;
      await job.update({
        position,
        doneBytes,
        totalBytes: step.done ? doneBytes : Math.max(doneBytes, step.totalBytes),
        results: step.finds,
      });
      if (step.done) return;
      const operationsNow = foregroundOperations(store.stats());
      const busy = operationsNow !== operations;
      operations = operationsNow;
      const tookMs = performance.now() - startedMs;
      await pause(pace.pauseMs({ bytes: step.doneBytes, tookMs, busy }), job.signal);
    }
  };
}

async function openVolume(volumes: Volumes, { record }: RunningJob): Promise<Volume> {
  const volume = volumes.get(record.volume);
  if (volume.record.id !== record.volumeId) {
    throw new GalleonError('VOLUME_NOT_FOUND', `volume "${record.volume}" was deleted; another has its name now`);
  }
  await volumes.open(volume);
  return volume;
}

function foregroundOperations({ read, write, flush, discard }: StoreStats): number {
  return read.operations + write.operations + flush.operations + discard.operations;
}

function say(log: Log, volume: string, find: ScrubFind): void {
  const { healed, kind, file, fileOffsetBytes, detail } = find;
  const what = `volume "${volume}": the scrub found ${kind} in ${file} at ${fileOffsetBytes}: ${detail}`;
  if (healed === undefined) log.error({ volume, ...find }, what);
  else log.warn({ volume, ...find }, `${what}; healed from ${healed}`);
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  // An abort ends the pause; that is no failure.
  await sleep(ms, undefined, { signal }).catch(() => undefined);
}
