import assert from 'node:assert/strict';
import { cp, mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { DoomedStoragePath, type Doom } from './support/doomed-storage-path.ts';

/** The steps of a creation: intent, directory, store, opening, commit; of a deletion: intent, directory, record. */
const CREATION_STEPS = 5;
const DELETION_STEPS = 3;

async function assertWhole(path: DoomedStoragePath, names: readonly string[], where: string): Promise<void> {
  assert.deepEqual(await path.wrong(), [], where);
  assert.deepEqual(
    path.volumes.list().map(({ name }) => name),
    names,
    where,
  );
}

/** Every subset of a store's files, and its directory gone. */
async function subsets(directory: string): Promise<(readonly string[] | undefined)[]> {
  const files = await readdir(directory);
  const all = Array.from({ length: 2 ** files.length }, (_, bits) => files.filter((_file, i) => (bits >> i) & 1));
  return [undefined, ...all];
}

/** Leaves only these files of it. */
async function keep(directory: string, whole: string, files: readonly string[] | undefined): Promise<void> {
  await rm(directory, { recursive: true, force: true });
  if (files === undefined) return;
  await mkdir(directory, { mode: 0o700 });
  for (const file of files) await cp(join(whole, file), join(directory, file));
}

test('a daemon that dies at any step of a creation leaves all of the volume or nothing', async () => {
  for (let step = 0; step <= CREATION_STEPS; step++) {
    await using path = await DoomedStoragePath.make();
    await path.create('other');
    path.doom({ diesBefore: step });
    const created = await path.create('a').then(
      () => true,
      () => false,
    );
    assert.equal(created, step === CREATION_STEPS);
    await path.die();
    await path.start();
    await assertWhole(path, created ? ['a', 'other'] : ['other'], `died before step ${step}`);
    if (!created) await path.create('a');
  }
});

test('a daemon that dies at any step of a deletion finishes it, once it was begun', async () => {
  for (let step = 0; step <= DELETION_STEPS; step++) {
    await using path = await DoomedStoragePath.make();
    await path.create('other');
    const volume = await path.create('a');
    path.doom({ diesBefore: step });
    await path.volumes.delete(volume).catch(() => undefined);
    await path.die();
    await path.start();
    await assertWhole(path, step === 0 ? ['a', 'other'] : ['other'], `died before step ${step}`);
    if (step > 0) await path.create('a');
  }
});

for (const state of ['creating', 'deleting'] as const) {
  test(`whatever files are left of a store that is ${state}, the next start removes them`, async () => {
    await using path = await DoomedStoragePath.make();
    const { record } = await path.create('a');
    const directory = join(path.storesDirectory, record.id);
    const whole = path.directory.at('whole');
    await path.die();
    await cp(directory, whole, { recursive: true });
    for (const files of await subsets(whole)) {
      await keep(directory, whole, files);
      // The record as the dead daemon left it.
      await path.start();
      await path.putRecord({ ...record, state });
      await path.die();
      await path.start();
      await assertWhole(path, [], `left: ${files?.join(' ') ?? 'no directory'}`);
      await path.die();
    }
    await path.start();
  });
}

test('a recovery that dies is finished by the next', async () => {
  for (const state of ['creating', 'deleting'] as const) {
    for (let step = 0; step < 3; step++) {
      await using path = await DoomedStoragePath.make();
      await path.create('other');
      const { record } = await path.create('a');
      await path.putRecord({ ...record, state });
      await path.die();
      await path.start({ diesBefore: step });
      await path.die();
      await path.start();
      await assertWhole(path, ['other'], `${state}, died before step ${step}`);
    }
  }
});

/** One step or two fail, before or after they did what they should. */
function* failures(steps: number): Generator<NonNullable<Doom['fails']>> {
  const ways = ['before', 'after'] as const;
  for (let first = 0; first < steps; first++) {
    for (const way of ways) {
      yield new Map([[first, way]]);
      for (let second = first + 1; second < steps + 3; second++) {
        for (const other of ways)
          yield new Map([
            [first, way],
            [second, other],
          ]);
      }
    }
  }
}

test('a creation with failing steps leaves all or nothing after a restart, and the name can be used before it', async () => {
  for (const fails of failures(CREATION_STEPS)) {
    for (const again of [false, true]) {
      await using path = await DoomedStoragePath.make();
      path.doom({ fails });
      let created = await path.create('a').then(
        () => true,
        () => false,
      );
      path.doom({});
      const where = `fails: ${JSON.stringify([...fails])}${again ? ', created again' : ''}`;
      if (again && !created) created = (await path.create('a')).name === 'a';
      await path.die();
      await path.start();
      // A commit that failed, and whose undoing failed, may have reached the disk: then the volume is there, and whole.
      const names = path.volumes.list().map(({ name }) => name);
      await assertWhole(path, created || names.length > 0 ? ['a'] : [], where);
    }
  }
});

test('a deletion with failing steps is finished by a restart, or by the next creation under the name', async () => {
  for (const fails of failures(DELETION_STEPS)) {
    for (const again of [false, true]) {
      await using path = await DoomedStoragePath.make();
      const volume = await path.create('a');
      path.doom({ fails });
      await path.volumes.delete(volume).catch(() => undefined);
      path.doom({});
      const begun = path.volumes.list().length === 0;
      if (again && begun) await path.create('a');
      await path.die();
      await path.start();
      const names = path.volumes.list().map(({ name }) => name);
      await assertWhole(path, names, `fails: ${JSON.stringify([...fails])}${again ? ', created again' : ''}`);
      if (begun) assert.deepEqual(names, again ? ['a'] : []);
    }
  }
});

test('one volume that cannot be settled does not keep the others from opening', async () => {
  await using path = await DoomedStoragePath.make();
  await path.create('other');
  const { record } = await path.create('a');
  await path.putRecord({ ...record, state: 'deleting' });
  await path.die();
  await path.start({ fails: new Map([[0, 'before']]) });
  assert.ok(path.volumes.get('other').openStore);
  assert.throws(() => path.volumes.get('a'), { code: 'VOLUME_NOT_FOUND' });
  await path.create('a');
  await assertWhole(path, ['a', 'other'], 'created again');
});

test('a second deletion, and a change of mounting, do not touch a new volume of the name', async () => {
  await using path = await DoomedStoragePath.make();
  const old = await path.create('a');
  const results = await Promise.allSettled([
    path.volumes.delete(old),
    path.create('b').then(async () => await path.create('a').catch(() => undefined)),
    path.volumes.delete(old),
  ]);
  assert.equal(results[0].status, 'fulfilled');
  if (path.volumes.list().length === 1) await path.create('a');
  await assert.rejects(path.volumes.delete(old), { code: 'VOLUME_NOT_FOUND' });
  await assert.rejects(path.volumes.setMountWish(old, { ...old.record.mount, atStart: false }), {
    code: 'VOLUME_NOT_FOUND',
  });
  await path.die();
  await path.start();
  await assertWhole(path, ['a', 'b'], 'after a restart');
});
