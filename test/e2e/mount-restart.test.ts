import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { GalleonfsDaemon } from './support/galleonfs-daemon.ts';
import { Scratch } from './support/scratch.ts';
import { bash } from './support/shell.ts';
import { BLOCK_BYTES, versionOf } from './support/versioned-block.ts';

const RANDOM_MIB = process.env['GALLEONFS_TEST_LONG'] === '1' ? 1024 : 256;
const BLOCKS = 4096;

for (const driver of ['native', 'portable'] as const) {
  describe(`a daemon with the ${driver} driver that ends and starts again`, { timeout: 300_000 }, () => {
    test(`gives back ${RANDOM_MIB} MiB of random data after a clean stop`, async () => {
      await using scratch = await Scratch.make();
      await using daemon = await GalleonfsDaemon.start({ directory: scratch.at('daemon'), driver });
      const data = await daemon.createVolume('random', `${RANDOM_MIB}MiB`);
      await bash(
        'dd if=/dev/urandom bs=1M count="$3" iflag=fullblock status=none | tee "$2" > "$1"',
        data,
        scratch.at('copy'),
        RANDOM_MIB,
      );
      await daemon.stop();
      assert.equal(daemon.isMounted('random'), false);
      await daemon.restart();
      await bash('cmp "$1" "$2"', data, scratch.at('copy'));
    });

    test('loses nothing that was acknowledged before a kill -9', async () => {
      await using scratch = await Scratch.make();
      await using daemon = await GalleonfsDaemon.start({ directory: scratch.at('daemon'), driver });
      const data = await daemon.createVolume('killed', `${(BLOCKS * BLOCK_BYTES) / 2 ** 20}MiB`);
      const acknowledged = await writeUntilKilled(daemon, data);
      assert.ok(acknowledged.size > 100, `only ${acknowledged.size} blocks were written before the kill`);
      await daemon.restart();
      await expectAtLeast(data, scratch.at('copy'), acknowledged);
    });

    test('serves again after a kill -9 in the middle of reading', async () => {
      await using scratch = await Scratch.make();
      await using daemon = await GalleonfsDaemon.start({ directory: scratch.at('daemon'), driver });
      const data = await daemon.createVolume('read', '64MiB');
      await bash('head -c 64M /dev/urandom | tee "$2" > "$1"', data, scratch.at('copy'));
      const reading = bash('while cat "$1" > /dev/null; do :; done', data);
      await sleep(300);
      await daemon.kill();
      await assert.doesNotReject(reading);
      await daemon.restart();
      await bash('cmp "$1" "$2"', data, scratch.at('copy'));
    });
  });
}

describe('mounts of a daemon', { timeout: 120_000 }, () => {
  test('a kill -9 leaves dead mounts that the next start takes away', async () => {
    await using scratch = await Scratch.make();
    await using daemon = await GalleonfsDaemon.start({ directory: scratch.at('daemon') });
    const data = await daemon.createVolume('dead', '4MiB');
    await bash('echo alive > "$1"', data);
    await daemon.killLeavingMounts();
    await daemon.restart();
    assert.equal(await bash('head -c 6 "$1"', data), 'alive\n');
  });
});

/** Kills the daemon in the middle of writing; returns the last acknowledged version of each block. */
async function writeUntilKilled(daemon: GalleonfsDaemon, data: string): Promise<Map<number, number>> {
  const program = join(import.meta.dirname, 'support/acknowledged-writer.ts');
  const writer = spawn(process.execPath, [program, data, String(BLOCKS), '1000000'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const said = text(writer.stdout);
  const ended = once(writer, 'exit');
  await sleep(1500);
  await daemon.kill();
  await ended;
  const lines = (await said).trimEnd().split('\n');
  return new Map(lines.map((line) => line.split(' ').map(Number) as [number, number]));
}

/** A version above the acknowledged one is that of the write in flight at the kill: at most one of all. */
async function expectAtLeast(data: string, copy: string, acknowledged: ReadonlyMap<number, number>): Promise<void> {
  await bash('cp --sparse=never "$1" "$2"', data, copy);
  const content = await readFile(copy);
  let ahead = 0;
  for (let block = 0; block < BLOCKS; block += 1) {
    const found = versionOf(block, content.subarray(block * BLOCK_BYTES, (block + 1) * BLOCK_BYTES));
    const expected = acknowledged.get(block) ?? 0;
    assert.ok(found >= expected, `block ${block} went back from version ${expected} to ${found}`);
    ahead += found - expected;
  }
  assert.ok(ahead <= 1, `${ahead} versions that were never acknowledged`);
}
