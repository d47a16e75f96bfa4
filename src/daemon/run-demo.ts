import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { GalleonError } from '../errors/index.ts';
import { formatByteSize } from '../lib/index.ts';
import type { Daemon } from './daemon.ts';
import type { DemoStep } from './demo-exercise.ts';
import type { VolumeView } from './volume-view.ts';

const MIB = 1024 ** 2;
const LABEL = 'galleonfs.io/demo';

const VOLUMES = [
  { name: 'web-server', sizeBytes: 256 * MIB, purpose: 'the pages of a web server' },
  { name: 'database', sizeBytes: 512 * MIB, purpose: 'a database with small durable writes' },
  { name: 'cache', sizeBytes: 128 * MIB, purpose: 'a scratch cache' },
] as const;

/**
 * Makes and mounts three volumes, writes, reads back and verifies through the mounts, and tells `say` each step.
 * A second run finds the volumes again and verifies what the first one wrote.
 * @throws GalleonError DEMO_FAILED, or what creating and mounting says
 */
export async function runDemo(daemon: Daemon, say: (line: string) => void): Promise<void> {
  say('GalleonFS demo: three volumes, real files, every byte checked.\n');
  for (const [index, demo] of VOLUMES.entries()) {
    say(`${index + 1}. ${demo.name}: ${demo.purpose}`);
    const volume = await mountedVolume(daemon, demo.name, demo.sizeBytes, say);
    await exercise(volume, say);
    say('');
  }
  const root = daemon.configuration.mountPoint;
  say('All three volumes work and stay mounted. Try:');
  say(`  ls -la ${root}/web-server`);
  say(`  echo "Hello GalleonFS!" > ${root}/cache/data`);
  say(`  mkfs.ext4 ${root}/database/data && mount -o loop ${root}/database/data /mnt`);
  say(`  galleonfs status --storage-path ${daemon.paths.root}`);
  say('Stop with Ctrl-C or "galleonfs stop".\n');
}

async function mountedVolume(
  daemon: Daemon,
  name: string,
  sizeBytes: number,
  say: (line: string) => void,
): Promise<VolumeView & { readonly dataPath: string }> {
  let volume = daemon.listVolumes().find((candidate) => candidate.name === name);
  if (volume === undefined) {
    volume = await daemon.createVolume({ name, sizeBytes, labels: { [LABEL]: 'true' } });
    say(`   created ${formatByteSize(sizeBytes)}, thin: it takes space as it is written`);
  } else if (volume.labels[LABEL] === undefined) {
    throw new GalleonError(
      'DEMO_FAILED',
      `a volume "${name}" exists and was not made by the demo, which leaves it alone: use another --storage-path for the demo`,
    );
  } else {
    say(`   found it from an earlier run (created ${volume.createdAt})`);
    if (volume.mount === null) volume = await daemon.mountVolume(name, {});
  }
  const { mount } = volume;
  if (mount === null) throw new GalleonError('DEMO_FAILED', `volume "${name}" is not mounted`);
  say(`   mounted: ${mount.dataPath} is the block device`);
  return { ...volume, dataPath: mount.dataPath };
}

/** In another process: the daemon never opens files on its own mounts. */
async function exercise(
  { name, dataPath }: VolumeView & { readonly dataPath: string },
  say: (line: string) => void,
): Promise<void> {
  const script = fileURLToPath(import.meta.url).replace(/run-demo(\.[a-z]+)$/, 'demo-exercise$1');
  const child = spawn(process.execPath, [script, dataPath, name], { stdio: ['ignore', 'pipe', 'inherit'] });
  const closed = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>;
  for await (const line of createInterface({ input: child.stdout })) {
    const step = JSON.parse(line) as DemoStep;
    say(`   ${step.ok ? '✔' : '✘'} ${step.text}`);
  }
  const [exitCode, signal] = await closed;
  if (exitCode === 0) return;
  const end = signal ?? `exit code ${String(exitCode)}`;
  throw new GalleonError('DEMO_FAILED', `the demo's check of volume "${name}" failed (${end})`);
}
