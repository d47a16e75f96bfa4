import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Catalog, newVolumeId, type VolumeId } from '../../../src/catalog/index.ts';
import { Jobs, type JobWork, type RunningJob } from '../../../src/job/index.ts';
import { silentLog } from '../../../src/lib/index.ts';
import { TemporaryDirectory } from '../support/temporary-directory.ts';

/** Jobs over a real catalog, whose work goes on when it is told to. */
class Fixture implements AsyncDisposable {
  readonly directory: TemporaryDirectory;
  readonly volume = { name: 'a', id: newVolumeId() };
  /** Jobs whose work was begun, in that order. */
  readonly begun: RunningJob[] = [];
  catalog!: Catalog;
  jobs!: Jobs;
  #let = Promise.withResolvers<undefined>();

  private constructor(directory: TemporaryDirectory) {
    this.directory = directory;
  }

  static async make(): Promise<Fixture> {
    const fixture = new Fixture(await TemporaryDirectory.make());
    await fixture.open();
    return fixture;
  }

  async open(work: JobWork = async (job) => await this.#work(job)): Promise<void> {
    this.#let = Promise.withResolvers();
    this.begun.length = 0;
    this.catalog = await Catalog.open(this.directory.at('catalog'));
    this.jobs = new Jobs({ catalog: this.catalog, log: silentLog });
    this.jobs.define('count', work);
    this.jobs.resume();
  }

  async close(): Promise<void> {
    await this.jobs.stop();
    await this.catalog.close();
  }

  finish(): void {
    this.#let.resolve(undefined);
  }

  async ended(id: string): Promise<string> {
    while (this.jobs.get(id).endedAt === null) await new Promise(setImmediate);
    return this.jobs.get(id).state;
  }

  async begins(count: number): Promise<void> {
    while (this.begun.length < count) await new Promise(setImmediate);
  }

  async start(volume: { name: string; id: VolumeId } = this.volume): Promise<string> {
    return (await this.jobs.start('count', volume, { by: 1 })).id;
  }

  async #work(job: RunningJob): Promise<void> {
    this.begun.push(job);
    await job.update({ doneBytes: job.record.doneBytes + 10, totalBytes: 20, position: 'half', results: ['one'] });
    if (job.signal.aborted) return;
    await Promise.race([
      this.#let.promise,
      new Promise((resolve) => job.signal.addEventListener('abort', () => resolve(undefined), { once: true })),
    ]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
    await this.directory[Symbol.asyncDispose]();
  }
}

test('a job runs to its end and keeps its results', async () => {
  await using fixture = await Fixture.make();
  const id = await fixture.start();
  await fixture.begins(1);
  assert.equal(fixture.jobs.get(id).state, 'running');
  fixture.finish();
  assert.equal(await fixture.ended(id), 'done');
  const { doneBytes, results, resultCount, failure } = fixture.jobs.get(id);
  assert.deepEqual(
    { doneBytes, results, resultCount, failure },
    { doneBytes: 10, results: ['one'], resultCount: 1, failure: null },
  );
});

test('a job that a stop interrupts goes on from its position after a restart', async () => {
  await using fixture = await Fixture.make();
  const id = await fixture.start();
  await fixture.begins(1);
  await fixture.close();
  await fixture.open();
  await fixture.begins(1);
  assert.equal(fixture.begun[0]?.record.id, id);
  assert.equal(fixture.begun[0].record.doneBytes, 20);
  assert.equal(fixture.begun[0].record.position, 'half');
  fixture.finish();
  assert.equal(await fixture.ended(id), 'done');
});

test('a cancelled job ends, and does not come back', async () => {
  await using fixture = await Fixture.make();
  const id = await fixture.start();
  await fixture.begins(1);
  assert.equal((await fixture.jobs.cancel(id)).state, 'cancelled');
  await assert.rejects(fixture.jobs.cancel(id), { code: 'JOB_ENDED' });
  await fixture.close();
  await fixture.open();
  assert.equal(fixture.jobs.get(id).state, 'cancelled');
  assert.equal(fixture.begun.length, 0);
});

test('jobs of a kind wait for each other, and one that waits is cancelled at once', async () => {
  await using fixture = await Fixture.make();
  const first = await fixture.start();
  const second = await fixture.start({ name: 'b', id: newVolumeId() });
  const third = await fixture.start({ name: 'c', id: newVolumeId() });
  await fixture.begins(1);
  assert.equal(fixture.jobs.get(second).state, 'waiting');
  assert.equal((await fixture.jobs.cancel(second)).state, 'cancelled');
  assert.equal(fixture.jobs.get(first).state, 'running');
  fixture.finish();
  assert.equal(await fixture.ended(third), 'done');
  assert.deepEqual(
    fixture.begun.map(({ record }) => record.id),
    [first, third],
  );
});

test('a volume has one job of a kind at a time', async () => {
  await using fixture = await Fixture.make();
  const id = await fixture.start();
  await assert.rejects(fixture.start(), { code: 'JOB_RUNNING', details: { job: id } });
});

test('a job whose work throws has failed, with the reason', async () => {
  await using fixture = await Fixture.make();
  await fixture.close();
  await fixture.open(() => Promise.reject(new Error('no way')));
  const id = await fixture.start();
  assert.equal(await fixture.ended(id), 'failed');
  assert.deepEqual(fixture.jobs.get(id).failure, { code: 'INTERNAL', message: 'no way' });
});

test('of the ended jobs of a volume the last is kept, and the last that was done', async () => {
  await using fixture = await Fixture.make();
  fixture.finish();
  await fixture.ended(await fixture.start());
  const done = await fixture.start();
  await fixture.ended(done);
  assert.deepEqual(
    fixture.jobs.list().map(({ id }) => id),
    [done],
  );
  await fixture.close();
  await fixture.open();
  for (let round = 0; round < 2; round += 1) {
    const id = await fixture.start();
    await fixture.begins(round + 1);
    await fixture.jobs.cancel(id);
    assert.deepEqual(
      fixture.jobs
        .list()
        .map(({ state }) => state)
        .sort(),
      ['cancelled', 'done'],
    );
  }
});

test('the jobs of a deleted volume are ended and forgotten', async () => {
  await using fixture = await Fixture.make();
  await fixture.start();
  await fixture.begins(1);
  await fixture.jobs.forget(fixture.volume.id);
  assert.deepEqual(fixture.jobs.list(), []);
});

test('a job there is not is not found', async () => {
  await using fixture = await Fixture.make();
  assert.throws(() => fixture.jobs.get('nothing'), { code: 'JOB_NOT_FOUND' });
});
