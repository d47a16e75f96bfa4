import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { eventually } from './support/eventually.ts';
import { GalleonfsDaemon } from './support/galleonfs-daemon.ts';
import { Scratch } from './support/scratch.ts';
import { bash } from './support/shell.ts';

const FLAGS = ['--demo-mode', '--setup-defaults'];
const DONE = 'All three volumes work';

for (const driver of ['native', 'portable'] as const) {
  describe(`--demo-mode with the ${driver} driver`, { timeout: 120_000 }, () => {
    test('makes, uses and verifies three volumes, and finds them again in a second run', async () => {
      await using scratch = await Scratch.make();
      await using daemon = await GalleonfsDaemon.start({ directory: scratch.at('daemon'), driver, flags: FLAGS });
      await eventually(() => daemon.log().includes(DONE));
      for (const volume of ['web-server', 'database', 'cache']) assert.equal(daemon.isMounted(volume), true, volume);
      assert.equal(daemon.log().match(/✔ read back 16 MiB/g)?.length, 3);
      assert.match(await daemon.galleonfs('class', 'list'), /fast-local-ssd \(default\)/);
      await daemon.stop();

      await daemon.restart();
      await eventually(() => daemon.log().split(DONE).length === 3);
      assert.equal(daemon.log().match(/what an earlier run wrote is still there/g)?.length, 3);
    });
  });
}

describe('--demo-mode', { timeout: 120_000 }, () => {
  test('leaves data alone that somebody put on its volumes', async () => {
    await using scratch = await Scratch.make();
    await using daemon = await GalleonfsDaemon.start({ directory: scratch.at('daemon'), flags: FLAGS });
    await eventually(() => daemon.log().includes(DONE));
    await bash('echo mine > "$1"', daemon.dataPath('cache'));
    await daemon.stop();
    await daemon.restart();
    await eventually(() => daemon.log().split(DONE).length === 3);
    assert.match(daemon.log(), /it holds other data by now, which is left alone/);
    assert.equal(await bash('head -c 5 "$1"', daemon.dataPath('cache')), 'mine\n');
  });

  test('refuses to use a volume of that name it did not make', async () => {
    await using scratch = await Scratch.make();
    await using daemon = await GalleonfsDaemon.start({ directory: scratch.at('daemon') });
    await daemon.createVolume('database', '1MiB');
    await daemon.stop();
    const second = GalleonfsDaemon.start({ directory: scratch.at('daemon'), flags: FLAGS });
    await assert.rejects(
      second.then(async (started) => {
        await using running = started;
        await eventually(() => running.log().includes('was not made by the demo'));
        throw new Error(running.log());
      }),
      /was not made by the demo/,
    );
  });
});
