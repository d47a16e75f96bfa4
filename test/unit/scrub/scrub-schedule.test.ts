import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newJobId, newVolumeId, type JobRecord, type VolumeRecord } from '../../../src/catalog/index.ts';
import type { Jobs, JobTarget } from '../../../src/job/index.ts';
import { silentLog } from '../../../src/lib/index.ts';
import { ScrubSchedule } from '../../../src/scrub/index.ts';
import type { Volumes } from '../../../src/volume/index.ts';

const DAY_MS = 86_400_000;
const WEEK_MS = 7 * DAY_MS;
const CREATED = '2026-01-01T00:00:00.000Z';

function record(name: string): VolumeRecord {
  return { name, id: newVolumeId(), createdAt: CREATED } as VolumeRecord;
}

function scrubOf(volume: VolumeRecord, endedAt: string | null): JobRecord {
  return {
    id: newJobId(),
    kind: 'scrub',
    volume: volume.name,
    volumeId: volume.id,
    state: endedAt === null ? 'running' : 'done',
    startedAt: CREATED,
    endedAt,
    doneBytes: 0,
    totalBytes: 0,
    options: {},
    position: null,
    results: [],
    resultCount: 0,
    failure: null,
  };
}

/** What a look at `now` starts. */
async function startedBy(volumes: readonly VolumeRecord[], records: JobRecord[], now: Date): Promise<string[]> {
  const started: string[] = [];
  const jobs: Pick<Jobs, 'list' | 'start'> = {
    list: () => records,
    start: (_kind: string, volume: JobTarget) => {
      started.push(volume.name);
      return Promise.resolve({} as JobRecord);
    },
  };
  const list = volumes.map((volume) => ({ record: volume, openStore: {} }));
  const schedule = new ScrubSchedule({
    intervalMs: WEEK_MS,
    jobs,
    volumes: { list: () => list } as unknown as Volumes,
    log: silentLog,
    now: () => now,
  });
  await schedule.look();
  return started;
}

test('new volumes are first scrubbed within one interval, each at a time of its own', () => {
  const jobs = { list: () => [] } as unknown as Jobs;
  const volumes = { list: () => [] } as unknown as Volumes;
  const schedule = new ScrubSchedule({ intervalMs: WEEK_MS, jobs, volumes, log: silentLog });
  const dueDays = Array.from(
    { length: 64 },
    (_, i) => (schedule.dueMs(record(`v${i}`)) - Date.parse(CREATED)) / DAY_MS,
  );
  assert.ok(dueDays.every((days) => days >= 0 && days <= 7));
  for (let day = 0; day < 7; day += 1)
    assert.ok(
      dueDays.some((days) => Math.floor(days) === day),
      `none on day ${day}`,
    );
});

test('a volume is scrubbed again an interval after its last scrub ended', async () => {
  const volume = record('a');
  const last = scrubOf(volume, '2026-02-01T00:00:00.000Z');
  assert.deepEqual(await startedBy([volume], [last], new Date('2026-02-07T23:59:00Z')), []);
  assert.deepEqual(await startedBy([volume], [last], new Date('2026-02-08T00:00:00Z')), ['a']);
});

test('the one that has been due for longest is started, and only one', async () => {
  const [a, b] = [record('a'), record('b')];
  const records = [scrubOf(a, '2026-02-02T00:00:00.000Z'), scrubOf(b, '2026-02-01T00:00:00.000Z')];
  assert.deepEqual(await startedBy([a, b], records, new Date('2026-03-01T00:00:00Z')), ['b']);
});

test('nothing is started while a scrub is under way', async () => {
  const [a, b] = [record('a'), record('b')];
  assert.deepEqual(await startedBy([a, b], [scrubOf(a, null)], new Date('2027-01-01T00:00:00Z')), []);
});
