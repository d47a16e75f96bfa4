import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually } from '../eventually.ts';
import { bash, python, tryBash } from '../shell.ts';
import { FILL, MIB, type MountedVolumes } from './mounted-volumes.ts';

/** The size of `data` never changes: truncating discards, and the end is an end. */
export function fixedSizeTests(volumes: MountedVolumes): void {
  test('truncate to 0 discards everything and keeps the size', async () => {
    const data = await volumes.volume('4MiB');
    await bash(`${FILL} truncate -s 0 "$1"`, data);
    await volumes.holds(data, '/dev/null', 4 * MIB);
  });

  test('truncate to the middle of a block keeps every byte before it', async () => {
    const data = await volumes.volume('4MiB');
    await bash(`${FILL} head -c 1000001 "$1" > "$2"; truncate -s 1000001 "$1"`, data, volumes.local('before'));
    await volumes.holds(data, volumes.local('before'), 4 * MIB);
  });

  test('truncate to the size changes nothing', async () => {
    const data = await volumes.volume('4MiB');
    await bash(`${FILL} cp "$1" "$2"; truncate -s 4M "$1"; cmp "$1" "$2"`, data, volumes.local('whole'));
  });

  test('truncate beyond the size is EINVAL', async () => {
    const data = await volumes.volume('4MiB');
    const { exitCode, stderr } = await tryBash('truncate -s 5M "$1"', data);
    assert.equal(exitCode, 1);
    assert.match(stderr, /Invalid argument/);
  });

  test('writing at the end is ENOSPC, and a write across it is cut short', async () => {
    const data = await volumes.volume('1MiB');
    const program = `
f = os.open(argv[1], os.O_RDWR)
assert os.pwrite(f, bytes(100), (1 << 20) - 40) == 40
try: os.pwrite(f, b"x", 1 << 20)
except OSError as e: print(os.strerror(e.errno))`;
    assert.equal(await python(program, data), 'No space left on device\n');
  });

  test('reading at the end is empty, and a read across it is cut short', async () => {
    const data = await volumes.volume('1MiB');
    const program = `
f = os.open(argv[1], os.O_RDONLY)
print(len(os.pread(f, 100, (1 << 20) - 40)), len(os.pread(f, 100, 1 << 20)), len(os.pread(f, 1, 1 << 30)))`;
    assert.equal(await python(program, data), '40 0 0\n');
  });

  test('fallocate punches a hole', async (t) => {
    const data = await volumes.volume('4MiB');
    const script = `${FILL} { head -c 10000 "$1"; head -c 2000000 /dev/zero; tail -c +2010001 "$1"; } > "$2"
      fallocate --punch-hole --offset 10000 --length 2000000 "$1"; cmp "$1" "$2"`;
    if (volumes.driver === 'portable') {
      await assert.rejects(bash(script, data, volumes.local('punched')), /unsupported/);
      t.diagnostic('the portable driver offers no fallocate');
      return;
    }
    await bash(script, data, volumes.local('punched'));
  });

  test('fallocate zeroes a range', volumes.nativeOnly('the portable driver offers no fallocate'), async () => {
    const data = await volumes.volume('4MiB');
    const script = `${FILL} { head -c 8192 "$1"; head -c 65536 /dev/zero; tail -c +73729 "$1"; } > "$2"
      fallocate --zero-range --offset 8192 --length 65536 "$1"; cmp "$1" "$2"`;
    await bash(script, data, volumes.local('zeroed'));
  });

  test('fallocate cannot make it longer', volumes.nativeOnly('the portable driver offers no fallocate'), async () => {
    const data = await volumes.volume('1MiB');
    const { stderr } = await tryBash('fallocate --length 2M "$1"', data);
    assert.match(stderr, /File too large|Invalid argument|Operation not supported/);
    assert.equal(await bash('stat -c %s "$1"', data), `${MIB}\n`);
  });

  test('SEEK_DATA and SEEK_HOLE find what was written', async () => {
    const data = await volumes.volume('64MiB');
    const program = `
f = os.open(argv[1], os.O_RDWR)
os.pwrite(f, b"x" * 8192, 16 << 20)
os.pwrite(f, b"x" * 4096, 40 << 20)
def find(at, what):
  try: return os.lseek(f, at, what)
  except OSError as e: return os.strerror(e.errno)
print(find(0, os.SEEK_DATA), find(0, os.SEEK_HOLE), find(16 << 20, os.SEEK_HOLE), find(17 << 20, os.SEEK_DATA), find(41 << 20, os.SEEK_DATA))`;
    const whole = 64 * MIB;
    const expected = {
      native: `${16 * MIB} 0 ${16 * MIB + 8192} ${40 * MIB} No such device or address\n`,
      portable: `0 ${whole} ${whole} ${17 * MIB} ${41 * MIB}\n`, // everything counts as data
    };
    assert.equal(await python(program, data), expected[volumes.driver]);
  });

  test('a discarded range is a hole again', volumes.nativeOnly('the portable driver shows no holes'), async () => {
    const data = await volumes.volume('8MiB');
    const program = `
f = os.open(argv[1], os.O_RDWR)
os.pwrite(f, b"x" * (4 << 20), 0)
os.ftruncate(f, 1 << 20)
print(os.lseek(f, 0, os.SEEK_HOLE), os.fstat(f).st_size)`;
    assert.equal(await python(program, data), `${MIB} ${8 * MIB}\n`);
  });

  test('takes space as it is written and gives it back when it is discarded', async () => {
    const data = await volumes.volume('64MiB');
    const used = async (): Promise<number> => Number(await bash('stat -c %b "$1"', data)) * 512;
    assert.equal(await used(), 0);
    await bash('head -c 8M /dev/urandom | dd of="$1" bs=1M conv=notrunc,fsync iflag=fullblock status=none', data);
    await eventually(async () => (await used()) === 8 * MIB);
    await bash('truncate -s 1M "$1"', data);
    await eventually(async () => (await used()) === MIB); // exact after the next checkpoint
  });
}
