/** A file system on a disk that can lose its power at any moment of the past: the program power_cut_disk, and loop devices. */
import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { bash, tryBash } from '../../e2e/support/shell.ts';

export type Filesystem = 'ext4' | 'xfs';

const diskProgram = resolve(import.meta.dirname, '../../../native/build/plain/power_cut_disk');

const MAKE: Record<Filesystem, string> = {
  ext4: 'mkfs.ext4 -q -F -E nodiscard "$1"',
  xfs: 'mkfs.xfs -q -f -K "$1"',
};
/** A cut xfs has the id of the one it was taken from. */
const MOUNT_OPTIONS: Record<Filesystem, string> = { ext4: 'defaults', xfs: 'nouuid' };

/** What the log held when it was sealed. */
export interface Sealed {
  readonly entries: number;
  readonly flushes: number;
  readonly bytes: number;
}

export class PowerCutLab implements AsyncDisposable {
  /** Where the living file system is mounted. */
  readonly live: string;
  readonly #crashed: string;
  readonly #directory: string;
  readonly #filesystem: Filesystem;
  readonly #disk: ChildProcessByStdio<Writable, Readable, null>;
  readonly #lines: Interface;
  readonly #answers: AsyncIterator<string, unknown>;
  #entries = -1;
  #device = '';

  private constructor(directory: string, filesystem: Filesystem, sizeMib: number) {
    this.#directory = directory;
    this.#filesystem = filesystem;
    this.live = join(directory, 'filesystem');
    this.#crashed = join(directory, 'crashed');
    this.#disk = spawn(diskProgram, [directory, String(sizeMib)], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#lines = createInterface(this.#disk.stdout);
    this.#answers = this.#lines[Symbol.asyncIterator]();
  }

  static async start(directory: string, filesystem: Filesystem, sizeMib: number): Promise<PowerCutLab> {
    await mkdir(directory, { recursive: true });
    const lab = new PowerCutLab(directory, filesystem, sizeMib);
    try {
      await mkdir(lab.live);
      await mkdir(lab.#crashed);
      if ((await lab.#answer()) !== 'ready') throw new Error('the disk does not start');
      lab.#entries = openSync(join(directory, 'entries'), 'r');
      lab.#device = await attach(join(directory, 'live/data'));
      await bash(MAKE[filesystem], lab.#device);
      await bash('mount -o "$3" "$1" "$2" && sync -f "$2"', lab.#device, lab.live, MOUNT_OPTIONS[filesystem]);
    } catch (error) {
      await lab[Symbol.asyncDispose]();
      throw error;
    }
    return lab;
  }

  /** Entries of the disk's log so far: a cut there or later has what was made durable before this call. */
  entries(): number {
    const bytes = Buffer.alloc(8);
    readSync(this.#entries, bytes, 0, 8, 0);
    return Number(bytes.readBigUInt64LE());
  }

  /** No more is logged; the living file system may be unmounted. */
  async seal(): Promise<Sealed> {
    const [, entries = 0, flushes = 0, bytes = 0] = (await this.#command('seal')).split(' ').map(Number);
    return { entries, flushes, bytes };
  }

  /** The disk fails every call with EIO from now on. */
  async break(): Promise<void> {
    await this.#command('break');
  }

  /** It works again, and the file system is mounted anew. */
  async mend(): Promise<void> {
    await this.#command('mend');
    await bash('umount "$2" && mount -o "$3" "$1" "$2"', this.#device, this.live, MOUNT_OPTIONS[this.#filesystem]);
  }

  async unmountLive(): Promise<void> {
    await bash('umount "$1"', this.live);
    await detach(this.#device);
    this.#device = '';
  }

  /** Mounts what a power cut after log entry `entry` leaves, and looks at it. Entries must not go back. */
  async afterCut(entry: number, seed: number, tearBytes: number, look: (path: string) => Promise<void>): Promise<void> {
    await this.#command(`cut ${entry} ${seed} ${tearBytes}`);
    const device = await attach(join(this.#directory, 'cut/data'));
    try {
      await bash('mount -o "$3" "$1" "$2"', device, this.#crashed, MOUNT_OPTIONS[this.#filesystem]);
      try {
        await look(this.#crashed);
      } finally {
        await bash('umount "$1"', this.#crashed);
      }
    } finally {
      await detach(device);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#entries >= 0) closeSync(this.#entries);
    for (const path of [this.live, this.#crashed]) await tryBash('mountpoint -q "$1" && umount --lazy "$1"', path);
    if (this.#device !== '') await tryBash('losetup --detach "$1"', this.#device);
    const ended = this.#disk.exitCode === null ? once(this.#disk, 'exit') : Promise.resolve();
    this.#disk.stdin.end();
    await ended;
    this.#lines.close();
    await rm(this.#directory, { recursive: true, force: true });
  }

  async #command(line: string): Promise<string> {
    this.#disk.stdin.write(`${line}\n`);
    return await this.#answer();
  }

  async #answer(): Promise<string> {
    const answer = await this.#answers.next();
    if (answer.done === true) throw new Error('the disk ended');
    return answer.value;
  }
}

async function attach(data: string): Promise<string> {
  return (await bash('losetup --find --show --direct-io=on "$1"', data)).trim();
}

/**
 * Gives a loop device back and waits until nobody has it any more: a mount namespace made meanwhile (a systemd unit's, a
 * container's) keeps the unmounted file system alive, and its writes would fall on the next cut.
 */
async function detach(device: string): Promise<void> {
  await bash(
    `file=$(losetup --noheadings --output BACK-FILE "$1")
    losetup --detach "$1"
    for try in $(seq 600); do
      [ "$(losetup --noheadings --output BACK-FILE "$1" 2>/dev/null || true)" = "$file" ] || exit 0
      sleep 0.1
    done
    echo "$1 is still in use, perhaps in another mount namespace" >&2
    exit 1`,
    device,
  );
}
