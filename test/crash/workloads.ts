/** What runs on volumes while the daemon is killed. Each has volumes of its own and must not notice anything. */
import { mkdir, rm } from 'node:fs/promises';
import type { GalleonfsDaemon } from '../e2e/support/galleonfs-daemon.ts';
import { LoopFilesystem } from '../e2e/support/loop-filesystem.ts';
import { POSTGRESQL_FUNCTIONS, postgresqlPrograms } from '../e2e/support/postgresql.ts';
import type { Scratch } from '../e2e/support/scratch.ts';
import { bash, python, tryBash } from '../e2e/support/shell.ts';

export interface Workload {
  /** Runs until the file `running` is gone. @throws Error at the first error or wrong byte it meets */
  run(running: string): Promise<void>;
  /** After run(): looks at all that is there. @throws Error when something is not as it must be */
  check(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** `volume`: the name of the volume to make. */
type StartWorkload = (daemon: GalleonfsDaemon, scratch: Scratch, volume: string) => Promise<Workload>;

const POSTGRESQL_PORT = 5602;

export const workloads = { fio, discards, files, postgresql } satisfies Record<string, StartWorkload>;
export type WorkloadName = keyof typeof workloads;

/** Programs they need. */
export const WORKLOAD_TOOLS: Readonly<Record<WorkloadName, readonly string[]>> = {
  fio: ['fio'],
  discards: ['python3'],
  files: ['root', 'mkfs.ext4', 'e2fsck', 'losetup', 'fstrim', 'stress-ng'],
  postgresql: ['root', 'mkfs.ext4', 'e2fsck', 'losetup', postgresqlPrograms()],
};

/** Random writes at depth 16 with fsyncs, each run of them read back and verified by fio. */
async function fio(daemon: GalleonfsDaemon, _scratch: Scratch, volume: string): Promise<Workload> {
  const data = await daemon.createVolume(volume, '128MiB');
  return {
    run: async (running) => {
      await bash(
        `while [ -e "$2" ]; do
          fio --name=verify --filename="$1" --rw=randwrite --bsrange=4k-64k --blockalign=4k --ioengine=libaio --iodepth=16 \\
            --direct=1 --fsync=32 --size=96m --randrepeat=0 --verify=crc32c --verify_fatal=1 --verify_state_save=0 --do_verify=1 \\
            --output-format=terse > /dev/null
        done`,
        data,
        running,
      );
    },
    check: () => Promise.resolve(),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

/** Writes, discards and reads of any length, compared with a copy in memory; some writes are durable at once. */
async function discards(daemon: GalleonfsDaemon, _scratch: Scratch, volume: string): Promise<Workload> {
  const data = await daemon.createVolume(volume, '64MiB', '--block-size', '16KiB');
  return {
    run: async (running) => {
      await python(
        `import ctypes, random
libc = ctypes.CDLL(None, use_errno=True)
def punch(fd, at, length):
    if libc.fallocate(fd, 3, ctypes.c_long(at), ctypes.c_long(length)) != 0:
        raise OSError(ctypes.get_errno(), 'fallocate')
fd = os.open(argv[1], os.O_RDWR); durable = os.open(argv[1], os.O_RDWR | os.O_DSYNC)
size = os.fstat(fd).st_size; copy = bytearray(size)
while os.path.exists(argv[2]):
    at = random.randrange(size); length = min(random.choice((1, 512, 4096, 70000, 900000)), size - at)
    kind = random.randrange(5)
    if kind == 0:
        punch(fd, at, length); copy[at:at+length] = bytes(length)
    elif kind < 3:
        piece = random.randbytes(length)
        assert os.pwrite(durable if kind == 1 else fd, piece, at) == length
        copy[at:at+length] = piece
    else:
        assert os.pread(fd, length, at) == copy[at:at+length], f'wrong bytes at {at}, {length} long'
os.fsync(fd)
for at in range(0, size, 1 << 20):
    assert os.pread(fd, 1 << 20, at) == copy[at:at+(1<<20)], f'wrong bytes in the MiB at {at}'`,
        data,
        running,
      );
    },
    check: () => Promise.resolve(),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

/** Files copied, compared, renamed, linked, removed and trimmed on ext4. */
async function files(daemon: GalleonfsDaemon, scratch: Scratch, volume: string): Promise<Workload> {
  const filesystem = await LoopFilesystem.make('ext4', await daemon.createVolume(volume, '1GiB'), scratch.at(volume));
  return {
    run: async (running) => {
      await bash(
        `mkdir "$1/stress"; turn=0
        while [ -e "$2" ]; do
          turn=$((turn + 1))
          cp -r /usr/include/linux "$1/new.$turn"
          sync -f "$1"
          diff -r /usr/include/linux "$1/new.$turn"
          mv "$1/new.$turn" "$1/old"
          rm -r "$1/old"
          stress-ng --temp-path "$1/stress" --dir 1 --rename 1 --link 1 --hdd 1 --hdd-bytes 16m --hdd-opts fsync --verify \\
            --timeout 4 -q
          fstrim "$1"
        done`,
        filesystem.path,
        running,
      );
    },
    check: async () => {
      await filesystem.unmount();
      await filesystem.check();
    },
    [Symbol.asyncDispose]: async () => {
      await filesystem[Symbol.asyncDispose]();
    },
  };
}

/** A server with checksums under pgbench, on ext4. */
async function postgresql(daemon: GalleonfsDaemon, scratch: Scratch, volume: string): Promise<Workload> {
  const place = scratch.at(volume);
  await mkdir(place);
  const filesystem = await LoopFilesystem.make('ext4', await daemon.createVolume(volume, '2GiB'), place);
  const programs = postgresqlPrograms();
  const script = async (body: string, ...more: string[]): Promise<string> =>
    await bash(`${POSTGRESQL_FUNCTIONS}\n${body}`, programs, place, POSTGRESQL_PORT, ...more);
  await script('make');
  return {
    run: async (running) => {
      await script(
        'while [ -e "$4" ]; do as pgbench -h "$db" -p $port -n -c 4 -j 2 -T 5 bench > /dev/null 2>> "$db/pgbench.log"; done',
        running,
      );
    },
    check: async () => {
      await script('finish; ! grep -E "PANIC|FATAL|could not (read|write|fsync)" "$db/log"');
      await filesystem.unmount();
      await filesystem.check();
    },
    [Symbol.asyncDispose]: async () => {
      await tryBash('[ -e "$1/db/postmaster.pid" ] && kill -9 $(head -n 1 "$1/db/postmaster.pid")', place);
      await filesystem[Symbol.asyncDispose]();
      await rm(place, { recursive: true, force: true }).catch(() => undefined); // Still busy: the scratch goes later.
    },
  };
}
