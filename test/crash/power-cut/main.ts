/**
 * `npm run test:powercut`: power cuts under the whole daemon. Its storage path lies on a file system on a disk that logs
 * every write and flush; writers on its mounts note, after each fsync, how far the log was. Then the power is cut at
 * random entries: the file system is mounted as the cut left it, and every volume is opened and read.
 *
 *   --filesystem ext4|xfs   --cuts N   --seconds N (of load)   --seed N   --tear 512|4096 (bytes that are old or new)
 *
 * As root, with /dev/fuse and loop devices. Exit code 1 if anything acknowledged was missing.
 */
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ControlClient } from '../../../src/cli/control-client.ts';
import { GalleonFS } from '../../../src/index.ts';
import { GalleonfsDaemon } from '../../e2e/support/galleonfs-daemon.ts';
import { Scratch } from '../../e2e/support/scratch.ts';
import { BLOCK_BYTES, versionedBlock } from '../../e2e/support/versioned-block.ts';
import { ExpectedVolume } from './expected-volume.ts';
import { PowerCutLab, type Filesystem } from './power-cut-lab.ts';
import { seededRandom, type Random } from './seeded-random.ts';

const { values } = parseArgs({
  options: {
    filesystem: { type: 'string', default: 'ext4' },
    cuts: { type: 'string', default: '300' },
    seconds: { type: 'string', default: '10' },
    tear: { type: 'string', default: '512' },
    seed: { type: 'string', default: String(Math.trunc(Date.now() / 1000) % 1_000_000) },
  },
});
const DISK_MIB = 768;
const STEADY_VOLUMES = 3;
const STEADY_BLOCKS = 8192;
const PASSING_BLOCKS = 512;
const KEPT_VOLUMES = 6;
const RUN_BLOCKS = 16;

interface Load {
  readonly lab: PowerCutLab;
  readonly daemon: GalleonfsDaemon;
  readonly random: Random;
  readonly stopAt: number;
}

/** Random writes and discards with an fsync every few of them, at most `syncs` times. Returns how many there were. */
async function writeAndSync(
  { lab, daemon, random, stopAt }: Load,
  volume: ExpectedVolume,
  syncs: number,
): Promise<number> {
  const data = await open(daemon.dataPath(volume.name), constants.O_RDWR);
  const buffer = Buffer.alloc(RUN_BLOCKS * BLOCK_BYTES);
  let done = 0;
  try {
    for (; done < syncs && performance.now() < stopAt; done += 1) {
      for (let left = 1 + random(8); left > 0; left -= 1) {
        const first = random(volume.blocks);
        if (random(400) === 0) {
          // Truncating discards the rest and leaves the size.
          for (let block = first; block < volume.blocks; block += 1) volume.asked(block, 0);
          await data.truncate(first * BLOCK_BYTES);
          continue;
        }
        const count = Math.min(random(4) === 0 ? RUN_BLOCKS : 1, volume.blocks - first);
        const version = volume.nextVersion();
        for (let i = 0; i < count; i += 1) {
          volume.asked(first + i, version);
          versionedBlock(first + i, version).copy(buffer, i * BLOCK_BYTES);
        }
        await data.write(buffer, 0, count * BLOCK_BYTES, first * BLOCK_BYTES);
      }
      const acknowledged = volume.flushing();
      await data.datasync();
      acknowledged(lab.entries());
    }
  } finally {
    await data.close();
  }
  return done;
}

/** Volumes that come and go. */
async function createAndDelete(load: Load, client: ControlClient, volumes: ExpectedVolume[]): Promise<void> {
  const { lab, random, stopAt } = load;
  let kept = 0;
  for (let number = 0; performance.now() < stopAt; number += 1) {
    const volume = new ExpectedVolume(`passing-${number}`, PASSING_BLOCKS);
    volumes.push(volume);
    await client.post('/volumes', { name: volume.name, sizeBytes: PASSING_BLOCKS * BLOCK_BYTES });
    volume.createdAt = lab.entries();
    await writeAndSync(load, volume, 1 + random(20));
    if (kept < KEPT_VOLUMES && random(5) === 0) {
      kept += 1;
      continue;
    }
    volume.deletingAt = lab.entries();
    await client.delete(`/volumes/${volume.name}`);
    volume.deletedAt = lab.entries();
  }
}

async function workload(lab: PowerCutLab, random: Random): Promise<{ volumes: ExpectedVolume[]; firstEntry: number }> {
  await using daemon = await GalleonfsDaemon.start({ directory: join(lab.live, 'daemon') });
  const client = new ControlClient(daemon.storagePath);
  const volumes: ExpectedVolume[] = [];
  for (let number = 0; number < STEADY_VOLUMES; number += 1) {
    const volume = new ExpectedVolume(`steady-${number}`, STEADY_BLOCKS);
    await client.post('/volumes', { name: volume.name, sizeBytes: STEADY_BLOCKS * BLOCK_BYTES });
    volume.createdAt = lab.entries();
    volumes.push(volume);
  }
  const firstEntry = lab.entries();
  const load = { lab, daemon, random, stopAt: performance.now() + Number(values.seconds) * 1000 };
  const writers = volumes.map(async (volume) => await writeAndSync(load, volume, Number.POSITIVE_INFINITY));
  const [syncs] = await Promise.all([Promise.all(writers), createAndDelete(load, client, volumes)]);
  await client.close();
  const { entries, flushes, bytes } = await lab.seal();
  console.log(
    `${syncs.reduce((sum, count) => sum + count, 0)} fsyncs acknowledged on ${STEADY_VOLUMES} volumes, ` +
      `${volumes.length - STEADY_VOLUMES} more volumes came and ${volumes.filter(({ deletedAt }) => deletedAt < Infinity).length} went; ` +
      `the disk's log: ${entries} entries, ${flushes} flushes, ${(bytes / 2 ** 20).toFixed(0)} MiB`,
  );
  return { volumes, firstEntry };
}

/** Opens everything in a storage path as a cut left it, and reads it all. Returns how many acknowledged blocks were asked for. */
async function verify(storagePath: string, volumes: readonly ExpectedVolume[], entry: number): Promise<number> {
  const galleon = new GalleonFS({ storagePath });
  let promised = 0;
  try {
    const found = new Map((await galleon.listVolumes()).map((one) => [one.name, one]));
    for (const volume of volumes) {
      const there = found.get(volume.name);
      if (there === undefined) {
        if (volume.createdAt <= entry && entry < volume.deletingAt)
          throw new Error(`volume ${volume.name} is missing, of ${[...found.keys()].join(' ')}`);
        continue;
      }
      if (volume.deletedAt <= entry)
        throw new Error(`volume ${volume.name} is back, of ${[...found.keys()].join(' ')}`);
      if (there.reason !== null) throw new Error(`volume ${volume.name}: ${there.reason.message}`);
      const file = await galleon.openVolumeFile(volume.name);
      volume.check(entry, await file.read(volume.blocks * BLOCK_BYTES));
      promised += volume.promised(entry);
      // And it takes writes.
      file.seek(0);
      await file.write(Buffer.alloc(BLOCK_BYTES, 1), { durable: true });
    }
    for (const { name, checksumFailures } of await galleon.listVolumes()) {
      if ((checksumFailures ?? 0) > 0) {
        throw new Error(`volume ${name}: ${checksumFailures} checksum failures`);
      }
    }
  } finally {
    await galleon.close();
  }
  return promised;
}

async function main(filesystem: Filesystem): Promise<void> {
  const seed = Number(values.seed);
  const random = seededRandom(seed);
  console.log(`${filesystem}, seed ${seed}`);
  await using scratch = await Scratch.make();
  await using lab = await PowerCutLab.start(scratch.at('lab'), filesystem, DISK_MIB);
  const { volumes, firstEntry } = await workload(lab, random);
  await lab.unmountLive();
  const span = lab.entries() - firstEntry + 1;
  const cuts = Array.from({ length: Number(values.cuts) }, () => firstEntry + random(span)).sort((a, b) => a - b);
  let bad = 0;
  let promised = 0;
  for (const [index, entry] of cuts.entries()) {
    const cutSeed = seed * 1000 + index;
    try {
      await lab.afterCut(entry, cutSeed, Number(values.tear), async (path) => {
        promised += await verify(join(path, 'daemon/store'), volumes, entry);
      });
    } catch (error) {
      bad += 1;
      console.log(`BAD: entry ${entry}, seed ${cutSeed}: ${error instanceof Error ? error.message : String(error)}`);
    }
    if ((index + 1) % 50 === 0) console.log(`${index + 1} cuts, ${bad} bad`);
  }
  console.log(`${filesystem}: ${cuts.length} power cuts, ${bad} bad; ${promised} acknowledged blocks were asked for`);
  process.exitCode = bad === 0 ? 0 : 1;
}

await main(values.filesystem as Filesystem);
