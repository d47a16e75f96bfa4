import { newJobId, type Catalog, type JobId, type JobRecord, type JobState, type VolumeId } from '../catalog/index.ts';
import { GalleonError, toGalleonError } from '../errors/index.ts';
import { SerialQueue, type Log } from '../lib/index.ts';
import type { JobUpdate, JobWork } from './running-job.ts';

export interface JobTarget {
  readonly name: string;
  readonly id: VolumeId;
}

interface JobsParts {
  readonly catalog: Pick<Catalog, 'jobs' | 'job' | 'putJob' | 'removeJob'>;
  readonly log: Log;
  readonly now?: () => Date;
}

type JobEnd = Pick<JobRecord, 'state' | 'failure'>;

interface Active {
  record: JobRecord;
  readonly abort: AbortController;
  cancelled: boolean;
  keptAtMs: number;
  ended: Promise<void>;
}

const KEEP_INTERVAL_MS = 5000;
const RESULTS_MAX = 1000;

/**
 * Long work on volumes. A job has an id, progress and an end; it can be cancelled, and goes on after a restart.
 *
 * Invariants: of each kind one runs at a time, the others wait, and a volume has at most one that has not ended. A record
 * in the catalog whose state is `waiting` or `running` is a job to go on with. Of the ended ones of a kind and volume the
 * last is kept, and the last that was done.
 */
export class Jobs {
  readonly #parts: JobsParts;
  readonly #works = new Map<string, JobWork>();
  readonly #active = new Map<JobId, Active>();
  readonly #turns = new SerialQueue();
  #stopping = false;

  constructor(parts: JobsParts) {
    this.#parts = parts;
  }

  /** Says how a kind of job is done. Before resume() and start(). */
  define(kind: string, work: JobWork): void {
    this.#works.set(kind, work);
  }

  /** Goes on with what had not ended when the last daemon did. */
  resume(): void {
    for (const record of this.#parts.catalog.jobs()) {
      if (!hasEnded(record.state) && this.#works.has(record.kind)) this.#launch(record);
    }
  }

  /** The latest first. */
  list(): JobRecord[] {
    const records = this.#parts.catalog.jobs().map((record) => this.#active.get(record.id)?.record ?? record);
    return records.sort((a, b) => (a.startedAt < b.startedAt ? 1 : -1));
  }

  /** @throws GalleonError JOB_NOT_FOUND */
  get(id: string): JobRecord {
    const record = this.#active.get(id as JobId)?.record ?? this.#parts.catalog.job(id as JobId);
    if (record !== undefined) return record;
    throw new GalleonError('JOB_NOT_FOUND', `there is no job "${id}"; "galleonfs job list" shows those there are`);
  }

  /** @throws GalleonError JOB_RUNNING when the volume has one of this kind already */
  async start(kind: string, volume: JobTarget, options: unknown): Promise<JobRecord> {
    const running = [...this.#active.values()].find(
      ({ record }) => record.kind === kind && record.volumeId === volume.id && record.endedAt === null,
    );
    if (running !== undefined) {
      throw new GalleonError(
        'JOB_RUNNING',
        `volume "${volume.name}" has a ${kind} under way: job ${running.record.id}`,
        {
          details: { job: running.record.id },
        },
      );
    }
    const record: JobRecord = {
      id: newJobId(),
      kind,
      volume: volume.name,
      volumeId: volume.id,
      state: 'waiting',
      startedAt: this.#now(),
      endedAt: null,
      doneBytes: 0,
      totalBytes: 0,
      options,
      position: null,
      results: [],
      resultCount: 0,
      failure: null,
    };
    const active = this.#launch(record);
    await this.#parts.catalog.putJob(active.record);
    return active.record;
  }

  /** Resolves when it has ended. @throws GalleonError JOB_NOT_FOUND, JOB_ENDED */
  async cancel(id: string): Promise<JobRecord> {
    const { state } = this.get(id);
    const active = this.#active.get(id as JobId);
    if (active === undefined) throw new GalleonError('JOB_ENDED', `job "${id}" has ended already: it is ${state}`);
    active.cancelled = true;
    active.abort.abort();
    // One that waits need not wait for its turn to be told.
    if (active.record.state === 'waiting') await this.#end(active, { state: 'cancelled', failure: null });
    else await active.ended;
    return active.record;
  }

  /** A volume is about to be deleted: ends its jobs and forgets them. */
  async forget(volumeId: VolumeId): Promise<void> {
    for (const { id } of this.list().filter((record) => record.volumeId === volumeId)) {
      if (this.#active.has(id)) await this.cancel(id);
      await this.#parts.catalog.removeJob(id);
    }
  }

  /** Halts every job where it is; resume() goes on. New ones are not started. */
  async stop(): Promise<void> {
    this.#stopping = true;
    const active = [...this.#active.values()];
    for (const { abort } of active) abort.abort();
    await Promise.all(active.map(async ({ ended }) => await ended));
  }

  #now(): string {
    return (this.#parts.now?.() ?? new Date()).toISOString();
  }

  #launch(record: JobRecord): Active {
    const active: Active = {
      record,
      abort: new AbortController(),
      cancelled: false,
      keptAtMs: performance.now(),
      ended: Promise.resolve(),
    };
    this.#active.set(record.id, active);
    active.ended = this.#turns
      .run(record.kind, async () => await this.#run(active))
      .catch((error: unknown) => {
        this.#parts.log.error({ job: record.id, error }, `the end of job ${record.id} could not be written down`);
      });
    return active;
  }

  async #run(active: Active): Promise<void> {
    const { signal } = active.abort;
    const isCancelled = (): boolean => active.cancelled;
    if (isCancelled()) return; // While it waited: it has been ended.
    let end: JobEnd = { state: 'done', failure: null };
    try {
      if (!signal.aborted) await this.#work(active, signal);
    } catch (error) {
      const { code, message } = toGalleonError(error);
      end = { state: 'failed', failure: { code, message } };
    }
    if (isCancelled()) end = { state: 'cancelled', failure: null };
    if (this.#stopping && signal.aborted && !isCancelled()) {
      this.#active.delete(active.record.id);
      await this.#parts.catalog.putJob(active.record);
      return;
    }
    await this.#end(active, end);
  }

  async #end(active: Active, end: JobEnd): Promise<void> {
    const record: JobRecord = { ...active.record, ...end, endedAt: this.#now() };
    await this.#parts.catalog.putJob(record);
    await this.#forgetOlder(record);
    active.record = record;
    const { id: job, kind, volume, doneBytes, resultCount, state, failure } = record;
    this.#active.delete(job);
    const fields = { job, volume, doneBytes, results: resultCount, ...failure };
    if (failure === null) this.#parts.log.info(fields, `${kind} of volume "${volume}" is ${state}`);
    else this.#parts.log.error(fields, `${kind} of volume "${volume}" failed: ${failure.message}`);
  }

  async #work(active: Active, signal: AbortSignal): Promise<void> {
    const work = this.#works.get(active.record.kind);
    if (work === undefined) throw new TypeError(`nobody knows how to do a ${active.record.kind}`);
    active.record = { ...active.record, state: 'running' };
    await work({
      get record() {
        return active.record;
      },
      signal,
      update: async (update) => await this.#update(active, update),
    });
  }

  async #update(active: Active, { results = [], ...update }: JobUpdate): Promise<void> {
    const { record } = active;
    active.record = {
      ...record,
      ...update,
      results: [...record.results, ...results].slice(0, RESULTS_MAX),
      resultCount: record.resultCount + results.length,
    };
    const nowMs = performance.now();
    if (nowMs - active.keptAtMs < KEEP_INTERVAL_MS && results.length === 0) return;
    active.keptAtMs = nowMs;
    await this.#parts.catalog.putJob(active.record).catch((error: unknown) => {
      // It would go on from an earlier place; that is no reason to end it.
      this.#parts.log.warn({ job: record.id, error }, `how far job ${record.id} is could not be written down`);
    });
  }

  async #forgetOlder(last: JobRecord): Promise<void> {
    const same = this.list().filter(
      ({ id, kind, volumeId, state }) =>
        id !== last.id && kind === last.kind && volumeId === last.volumeId && hasEnded(state),
    );
    const kept = last.state === 'done' ? undefined : same.find(({ state }) => state === 'done');
    for (const { id } of same.filter((record) => record !== kept)) await this.#parts.catalog.removeJob(id);
  }
}

function hasEnded(state: JobState): boolean {
  return state !== 'waiting' && state !== 'running';
}
