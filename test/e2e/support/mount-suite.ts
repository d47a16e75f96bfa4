/**
 * What every mount driver must do, shown with the programs people use. `data` behaves as a file whose size cannot change
 * and whose bytes are what was written last, or zeros.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { useDaemon } from './daemon-fixture.ts';
import type { Driver } from './galleonfs-daemon.ts';
import { eventually } from './eventually.ts';
import { needs } from './needs.ts';
import { bash, python, tryBash } from './shell.ts';

const MIB = 2 ** 20;

/** `"$1"` is `data`: fills it with noise, so that what should become zeros was not zeros before. */
const FILL = 'head -c "$(stat -c %s "$1")" /dev/urandom | dd of="$1" bs=1M conv=notrunc iflag=fullblock status=none\n';

export function mountSuite(driver: Driver): void {
  describe(`a volume mounted by the ${driver} driver`, { timeout: 600_000 }, () => {
    const fixture = useDaemon({ driver });
    const local = (name: string): string => fixture.scratch.at(name);

    const nativeOnly = (why: string): { skip: string | false } => ({ skip: driver === 'portable' && why });

    /** Expects `data` to hold what the file `expected` holds, then zeros, and to have kept its size. */
    const holds = async (data: string, expected: string, size: number): Promise<void> => {
      const script = `test "$(stat -c %s "$1")" = "$3"
        { cat "$2"; head -c "$(($3 - $(stat -c %s "$2")))" /dev/zero; } | cmp - "$1"`;
      await bash(script, data, expected, size);
    };

    test('shows data, README.txt and .galleonfs_metadata, and nothing else', async () => {
      const data = await fixture.volume('4MiB');
      assert.equal(await bash('cd "$(dirname "$1")"; ls -A | sort', data), '.galleonfs_metadata\nREADME.txt\ndata\n');
    });

    test('describes itself in README.txt and, as JSON, in .galleonfs_metadata', async () => {
      const data = await fixture.volume('4MiB');
      assert.match(await bash('cat "$(dirname "$1")/README.txt"', data), /block device/);
      const metadata = JSON.parse(await bash('cat "$(dirname "$1")/.galleonfs_metadata"', data)) as Record<
        string,
        unknown
      >;
      assert.equal(metadata['sizeBytes'], 4 * MIB);
    });

    test('data has the size, mode and owner of the volume', async () => {
      const data = await fixture.volume('4MiB');
      assert.equal(
        await bash('stat -c "%s %a %u %F" "$1"', data),
        `${4 * MIB} 600 ${process.getuid?.()} regular file\n`,
      );
    });

    test('a new volume reads as zeros', async () => {
      const data = await fixture.volume('4MiB');
      await bash('cmp -n 4194304 "$1" /dev/zero', data);
    });

    test('echo writes a line and cat reads it', async () => {
      const data = await fixture.volume('4MiB');
      const said = await bash('echo "Hello GalleonFS!" > "$1"; cat "$1" > "$2"; head -n 1 "$2"', data, local('hello'));
      assert.equal(said, 'Hello GalleonFS!\n');
    });

    test('cp of a small file leaves its bytes and then zeros', async () => {
      const data = await fixture.volume('4MiB');
      await bash(`${FILL} printf 'listen 80;\\n' > "$2"; cp "$2" "$1"`, data, local('app.conf'));
      await holds(data, local('app.conf'), 4 * MIB);
    });

    test('dd with 1 MiB blocks writes a whole image', async () => {
      const data = await fixture.volume('32MiB');
      await bash(
        'head -c 32M /dev/urandom > "$2"; dd if="$2" of="$1" bs=1M status=none; cmp "$1" "$2"',
        data,
        local('image'),
      );
    });

    test('dd with direct I/O writes and reads a whole image', async () => {
      const data = await fixture.volume('32MiB');
      const script = `head -c 32M /dev/urandom > "$2"
        dd if="$2" of="$1" bs=256k oflag=direct status=none
        dd if="$1" bs=1M iflag=direct status=none | cmp - "$2"`;
      await bash(script, data, local('image'));
    });

    test('dd seek= without notrunc keeps what stands before and discards what stands after', async () => {
      const data = await fixture.volume('4MiB');
      const script = `${FILL} { head -c 1M "$1"; head -c 64k /dev/zero | tr '\\0' x; } > "$2"
        head -c 64k /dev/zero | tr '\\0' x | dd of="$1" bs=64k seek=16 iflag=fullblock status=none`;
      await bash(script, data, local('expected'));
      await holds(data, local('expected'), 4 * MIB);
    });

    for (const [ending, script] of [
      [
        'data',
        'truncate -s 3M "$2"; head -c 100k /dev/urandom | dd of="$2" bs=4k seek=256 conv=notrunc iflag=fullblock status=none; head -c 5000 /dev/urandom >> "$2"',
      ],
      ['a hole', 'head -c 100k /dev/urandom > "$2"; truncate -s 3M "$2"'],
    ] as const) {
      for (const sparse of ['auto', 'always', 'never']) {
        test(`cp --sparse=${sparse} of a sparse file that ends in ${ending}`, async () => {
          const data = await fixture.volume('4MiB');
          const source = local(`sparse-${ending.length}-${sparse}`);
          await bash(`${FILL} ${script}; cp --sparse=${sparse} "$2" "$1"`, data, source);
          await holds(data, source, 4 * MIB);
        });
      }
    }

    test('rsync --inplace', async (t) => {
      if (!needs(t, 'rsync')) return;
      const data = await fixture.volume('4MiB');
      await bash(
        `${FILL} head -c 4M /dev/urandom > "$2"; rsync --inplace --ignore-times "$2" "$1"; cmp "$1" "$2"`,
        data,
        local('inplace'),
      );
    });

    test('qemu-img convert of a qcow2 image', async (t) => {
      if (!needs(t, 'qemu-img')) return;
      const data = await fixture.volume('16MiB');
      const script = `${FILL} truncate -s 16M "$2"
        head -c 1M /dev/urandom | dd of="$2" bs=1M seek=5 conv=notrunc iflag=fullblock status=none
        qemu-img convert -f raw -O qcow2 "$2" "$2.qcow2"
        qemu-img convert -f qcow2 -O raw "$2.qcow2" "$1"
        cmp "$1" "$2"`;
      await bash(script, data, local('disk'));
    });

    test('qemu-img convert -n into the existing data', async (t) => {
      if (!needs(t, 'qemu-img')) return;
      const data = await fixture.volume('16MiB');
      const script = `${FILL} head -c 16M /dev/urandom > "$2"
        qemu-img convert -n -f raw -O raw "$2" "$1"; cmp "$1" "$2"`;
      await bash(script, data, local('existing'));
    });

    test('a mapping of data, shared for writing', async (t) => {
      const data = await fixture.volume('4MiB');
      const program = `
f = os.open(argv[1], os.O_RDWR)
with mmap.mmap(f, 4 << 20) as m:
    for at in range(0, 4 << 20, 65536):
        m[at + 100 : at + 105] = b"hello"
    m.flush()`;
      if (driver === 'portable') {
        await assert.rejects(python(program, data), /No such device/);
        t.diagnostic('the portable driver offers no shared mappings');
        return;
      }
      await python(program, data);
      assert.equal(await bash('tr -d "\\0" < "$1" | head -c 20', data), 'hellohellohellohello');
      assert.equal(await bash('tr -d "\\0" < "$1" | wc -c', data), `${64 * 5}\n`);
    });

    test('a mapping sees what write() wrote', nativeOnly('the portable driver offers no shared mappings'), async () => {
      const data = await fixture.volume('4MiB');
      const program = `
f = os.open(argv[1], os.O_RDWR)
with mmap.mmap(f, 4 << 20) as m:
    assert m[5000:5005] == bytes(5)
    os.pwrite(f, b"hello", 5000)
    assert m[5000:5005] == b"hello", m[5000:5005]`;
      await python(program, data);
    });

    for (const flag of ['dsync', 'sync']) {
      test(`several writers with O_${flag.toUpperCase()} at once`, async () => {
        const data = await fixture.volume('8MiB');
        const script = `head -c 8M /dev/urandom > "$2"
          for i in 0 1 2 3; do
            dd if="$2" of="$1" bs=64k skip=$((i * 32)) seek=$((i * 32)) count=32 oflag=${flag} conv=notrunc status=none &
          done
          wait; cmp "$1" "$2"`;
        await bash(script, data, local(flag));
      });
    }

    test('unaligned writes of 1 to 200,000 bytes', async () => {
      const data = await fixture.volume('4MiB');
      const program = `
import random
random.seed(1)
f, expected = os.open(argv[1], os.O_RDWR), bytearray(4 << 20)
for _ in range(300):
    n = random.choice([1, 511, 513, 4095, 4097, random.randrange(1, 200000)])
    at = random.randrange(0, len(expected) - n)
    block = random.randbytes(n)
    assert os.pwrite(f, block, at) == n
    expected[at : at + n] = block
os.close(f)
with open(argv[1], "rb") as again:
    assert again.read() == expected`;
      await python(program, data);
    });

    test('fio verifies random writes of mixed sizes', async (t) => {
      if (!needs(t, 'fio')) return;
      const data = await fixture.volume('64MiB');
      const script = `cd "$2"; fio --name=mixed --filename="$1" --size=64M --rw=randwrite --bsrange=512-128k --bs_unaligned \
        --ioengine=psync --verify=crc32c --verify_fatal=1 --do_verify=1 --io_size=64M`;
      await bash(script, data, fixture.scratch.path);
    });

    test('fio verifies queued direct I/O', async (t) => {
      if (!needs(t, 'fio')) return;
      const data = await fixture.volume('64MiB');
      const script = `cd "$2"; fio --name=queued --filename="$1" --size=64M --rw=randrw --bs=4k --ioengine=libaio --iodepth=16 \
        --direct=1 --verify=crc32c --verify_fatal=1 --verify_backlog=512 --fsync=128`;
      await bash(script, data, fixture.scratch.path);
    });

    test('truncate to 0 discards everything and keeps the size', async () => {
      const data = await fixture.volume('4MiB');
      await bash(`${FILL} truncate -s 0 "$1"`, data);
      await holds(data, '/dev/null', 4 * MIB);
    });

    test('truncate to the middle of a block keeps every byte before it', async () => {
      const data = await fixture.volume('4MiB');
      await bash(`${FILL} head -c 1000001 "$1" > "$2"; truncate -s 1000001 "$1"`, data, local('before'));
      await holds(data, local('before'), 4 * MIB);
    });

    test('truncate to the size changes nothing', async () => {
      const data = await fixture.volume('4MiB');
      await bash(`${FILL} cp "$1" "$2"; truncate -s 4M "$1"; cmp "$1" "$2"`, data, local('whole'));
    });

    test('truncate beyond the size is EINVAL', async () => {
      const data = await fixture.volume('4MiB');
      const { exitCode, stderr } = await tryBash('truncate -s 5M "$1"', data);
      assert.equal(exitCode, 1);
      assert.match(stderr, /Invalid argument/);
    });

    test('writing at the end is ENOSPC, and a write across it is cut short', async () => {
      const data = await fixture.volume('1MiB');
      const program = `
f = os.open(argv[1], os.O_RDWR)
assert os.pwrite(f, bytes(100), (1 << 20) - 40) == 40
try: os.pwrite(f, b"x", 1 << 20)
except OSError as e: print(os.strerror(e.errno))`;
      assert.equal(await python(program, data), 'No space left on device\n');
    });

    test('reading at the end is empty, and a read across it is cut short', async () => {
      const data = await fixture.volume('1MiB');
      const program = `
f = os.open(argv[1], os.O_RDONLY)
print(len(os.pread(f, 100, (1 << 20) - 40)), len(os.pread(f, 100, 1 << 20)), len(os.pread(f, 1, 1 << 30)))`;
      assert.equal(await python(program, data), '40 0 0\n');
    });

    for (const [what, script] of [
      ['creating a file', 'touch new'],
      ['making a directory', 'mkdir new'],
      ['removing data', 'rm -f data'],
      ['renaming data', 'mv data other'],
      [
        'replacing data by renaming',
        'cp README.txt /dev/shm/x.$$; mv /dev/shm/x.$$ data2; r=$?; rm -f /dev/shm/x.$$; exit $r',
      ],
      ['linking data', 'ln data other'],
      ['a symbolic link', 'ln -s data other'],
      ['changing the mode', 'chmod 777 data'],
    ] as const) {
      test(`${what} is refused`, async () => {
        const data = await fixture.volume('1MiB');
        const { exitCode, stderr } = await tryBash(`cd "$(dirname "$1")"; ${script}`, data);
        assert.notEqual(exitCode, 0);
        assert.match(stderr, /Operation not permitted/);
      });
    }

    test('README.txt cannot be written', async () => {
      const data = await fixture.volume('1MiB');
      const { stderr } = await tryBash('echo x > "$(dirname "$1")/README.txt"', data);
      assert.match(stderr, /Permission denied|Operation not permitted/);
    });

    test('fallocate punches a hole', async (t) => {
      const data = await fixture.volume('4MiB');
      const script = `${FILL} { head -c 10000 "$1"; head -c 2000000 /dev/zero; tail -c +2010001 "$1"; } > "$2"
        fallocate --punch-hole --offset 10000 --length 2000000 "$1"; cmp "$1" "$2"`;
      if (driver === 'portable') {
        await assert.rejects(bash(script, data, local('punched')), /unsupported/);
        t.diagnostic('the portable driver offers no fallocate');
        return;
      }
      await bash(script, data, local('punched'));
    });

    test('fallocate zeroes a range', nativeOnly('the portable driver offers no fallocate'), async () => {
      const data = await fixture.volume('4MiB');
      const script = `${FILL} { head -c 8192 "$1"; head -c 65536 /dev/zero; tail -c +73729 "$1"; } > "$2"
        fallocate --zero-range --offset 8192 --length 65536 "$1"; cmp "$1" "$2"`;
      await bash(script, data, local('zeroed'));
    });

    test('fallocate cannot make it longer', nativeOnly('the portable driver offers no fallocate'), async () => {
      const data = await fixture.volume('1MiB');
      const { stderr } = await tryBash('fallocate --length 2M "$1"', data);
      assert.match(stderr, /File too large|Invalid argument|Operation not supported/);
      assert.equal(await bash('stat -c %s "$1"', data), `${MIB}\n`);
    });

    test('SEEK_DATA and SEEK_HOLE find what was written', async () => {
      const data = await fixture.volume('64MiB');
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
      assert.equal(await python(program, data), expected[driver]);
    });

    test('a discarded range is a hole again', nativeOnly('the portable driver shows no holes'), async () => {
      const data = await fixture.volume('8MiB');
      const program = `
f = os.open(argv[1], os.O_RDWR)
os.pwrite(f, b"x" * (4 << 20), 0)
os.ftruncate(f, 1 << 20)
print(os.lseek(f, 0, os.SEEK_HOLE), os.fstat(f).st_size)`;
      assert.equal(await python(program, data), `${MIB} ${8 * MIB}\n`);
    });

    test('takes space as it is written and gives it back when it is discarded', async () => {
      const data = await fixture.volume('64MiB');
      const used = async (): Promise<number> => Number(await bash('stat -c %b "$1"', data)) * 512;
      assert.equal(await used(), 0);
      await bash('head -c 8M /dev/urandom | dd of="$1" bs=1M conv=notrunc,fsync iflag=fullblock status=none', data);
      await eventually(async () => (await used()) === 8 * MIB);
      await bash('truncate -s 1M "$1"', data);
      await eventually(async () => (await used()) === MIB); // exact after the next checkpoint
    });

    test('df shows the size of the volume', async () => {
      const data = await fixture.volume('64MiB');
      assert.equal(await bash('df --output=size -B1 "$1" | tail -1 | tr -d " "', data), `${64 * MIB}\n`);
    });

    test('touch and cp --preserve succeed', async () => {
      const data = await fixture.volume('1MiB');
      await bash(
        'touch "$1"; head -c 1M /dev/urandom > "$2"; chmod 600 "$2"; cp --preserve=mode,timestamps "$2" "$1"; cmp "$1" "$2"',
        data,
        local('kept'),
      );
    });

    test('a volume with 64 KiB blocks takes writes of any size', async () => {
      const data = await fixture.volume('4MiB', '--block-size', '64KiB');
      const script = `head -c 4M /dev/urandom > "$2"
        dd if="$2" of="$1" bs=700 status=none conv=notrunc; cmp "$1" "$2"`;
      await bash(script, data, local('large-blocks'));
    });

    test('a read-only mount refuses writes with EROFS', async () => {
      const data = await fixture.volume('1MiB');
      const name = data.split('/').at(-2) ?? '';
      await fixture.daemon.galleonfs('unmount', name);
      await fixture.daemon.galleonfs('mount', name, '-o', 'ro');
      const { stderr } = await tryBash('echo x > "$1"', data);
      assert.match(stderr, /Read-only file system/);
      await bash('cmp -n 1048576 "$1" /dev/zero', data);
    });

    test('eight volumes are written at once and keep their own bytes', async () => {
      const paths = await Promise.all(Array.from({ length: 8 }, () => fixture.volume('16MiB')));
      const script = `
        for data in "$@"; do head -c 16M /dev/urandom > "$data.expected"; done
        for data in "$@"; do dd if="$data.expected" of="$(cat "$data.path")" bs=64k conv=notrunc,fsync status=none & done
        wait
        for data in "$@"; do cmp "$(cat "$data.path")" "$data.expected"; done`;
      const keys = paths.map((_, index) => local(`many-${index}`));
      await Promise.all(paths.map((path, index) => bash('echo "$1" > "$2.path"', path, keys[index] ?? '')));
      await bash(script, ...keys);
    });
  });
}
