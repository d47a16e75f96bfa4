import assert from 'node:assert/strict';
import { test } from 'node:test';
import { needs } from '../needs.ts';
import { bash, python } from '../shell.ts';
import { FILL, MIB, type MountedVolumes } from './mounted-volumes.ts';

/** The programs people use on `data`: it holds what they wrote last. */
export function programTests(volumes: MountedVolumes): void {
  test('echo writes a line and cat reads it', async () => {
    const data = await volumes.volume('4MiB');
    const said = await bash(
      'echo "Hello GalleonFS!" > "$1"; cat "$1" > "$2"; head -n 1 "$2"',
      data,
      volumes.local('hello'),
    );
    assert.equal(said, 'Hello GalleonFS!\n');
  });

  test('cp of a small file leaves its bytes and then zeros', async () => {
    const data = await volumes.volume('4MiB');
    await bash(`${FILL} printf 'listen 80;\\n' > "$2"; cp "$2" "$1"`, data, volumes.local('app.conf'));
    await volumes.holds(data, volumes.local('app.conf'), 4 * MIB);
  });

  test('dd with 1 MiB blocks writes a whole image', async () => {
    const data = await volumes.volume('32MiB');
    await bash(
      'head -c 32M /dev/urandom > "$2"; dd if="$2" of="$1" bs=1M status=none; cmp "$1" "$2"',
      data,
      volumes.local('image'),
    );
  });

  test('dd with direct I/O writes and reads a whole image', async () => {
    const data = await volumes.volume('32MiB');
    const script = `head -c 32M /dev/urandom > "$2"
      dd if="$2" of="$1" bs=256k oflag=direct status=none
      dd if="$1" bs=1M iflag=direct status=none | cmp - "$2"`;
    await bash(script, data, volumes.local('image'));
  });

  test('dd seek= without notrunc keeps what stands before and discards what stands after', async () => {
    const data = await volumes.volume('4MiB');
    const script = `${FILL} { head -c 1M "$1"; head -c 64k /dev/zero | tr '\\0' x; } > "$2"
      head -c 64k /dev/zero | tr '\\0' x | dd of="$1" bs=64k seek=16 iflag=fullblock status=none`;
    await bash(script, data, volumes.local('expected'));
    await volumes.holds(data, volumes.local('expected'), 4 * MIB);
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
        const data = await volumes.volume('4MiB');
        const source = volumes.local(`sparse-${ending.length}-${sparse}`);
        await bash(`${FILL} ${script}; cp --sparse=${sparse} "$2" "$1"`, data, source);
        await volumes.holds(data, source, 4 * MIB);
      });
    }
  }

  test('rsync --inplace', async (t) => {
    if (!needs(t, 'rsync')) return;
    const data = await volumes.volume('4MiB');
    await bash(
      `${FILL} head -c 4M /dev/urandom > "$2"; rsync --inplace --ignore-times "$2" "$1"; cmp "$1" "$2"`,
      data,
      volumes.local('inplace'),
    );
  });

  test('qemu-img convert of a qcow2 image', async (t) => {
    if (!needs(t, 'qemu-img')) return;
    const data = await volumes.volume('16MiB');
    const script = `${FILL} truncate -s 16M "$2"
      head -c 1M /dev/urandom | dd of="$2" bs=1M seek=5 conv=notrunc iflag=fullblock status=none
      qemu-img convert -f raw -O qcow2 "$2" "$2.qcow2"
      qemu-img convert -f qcow2 -O raw "$2.qcow2" "$1"
      cmp "$1" "$2"`;
    await bash(script, data, volumes.local('disk'));
  });

  test('qemu-img convert -n into the existing data', async (t) => {
    if (!needs(t, 'qemu-img')) return;
    const data = await volumes.volume('16MiB');
    const script = `${FILL} head -c 16M /dev/urandom > "$2"
      qemu-img convert -n -f raw -O raw "$2" "$1"; cmp "$1" "$2"`;
    await bash(script, data, volumes.local('existing'));
  });

  test('a mapping of data, shared for writing', async (t) => {
    const data = await volumes.volume('4MiB');
    const program = `
f = os.open(argv[1], os.O_RDWR)
with mmap.mmap(f, 4 << 20) as m:
  for at in range(0, 4 << 20, 65536):
      m[at + 100 : at + 105] = b"hello"
  m.flush()`;
    if (volumes.driver === 'portable') {
      await assert.rejects(python(program, data), /No such device/);
      t.diagnostic('the portable driver offers no shared mappings');
      return;
    }
    await python(program, data);
    assert.equal(await bash('tr -d "\\0" < "$1" | head -c 20', data), 'hellohellohellohello');
    assert.equal(await bash('tr -d "\\0" < "$1" | wc -c', data), `${64 * 5}\n`);
  });

  test(
    'a mapping sees what write() wrote',
    volumes.nativeOnly('the portable driver offers no shared mappings'),
    async () => {
      const data = await volumes.volume('4MiB');
      const program = `
f = os.open(argv[1], os.O_RDWR)
with mmap.mmap(f, 4 << 20) as m:
  assert m[5000:5005] == bytes(5)
  os.pwrite(f, b"hello", 5000)
  assert m[5000:5005] == b"hello", m[5000:5005]`;
      await python(program, data);
    },
  );

  for (const flag of ['dsync', 'sync']) {
    test(`several writers with O_${flag.toUpperCase()} at once`, async () => {
      const data = await volumes.volume('8MiB');
      const script = `head -c 8M /dev/urandom > "$2"
        for i in 0 1 2 3; do
          dd if="$2" of="$1" bs=64k skip=$((i * 32)) seek=$((i * 32)) count=32 oflag=${flag} conv=notrunc status=none &
        done
        wait; cmp "$1" "$2"`;
      await bash(script, data, volumes.local(flag));
    });
  }

  test('unaligned writes of 1 to 200,000 bytes', async () => {
    const data = await volumes.volume('4MiB');
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
    const data = await volumes.volume('64MiB');
    const script = `cd "$2"; fio --name=mixed --filename="$1" --size=64M --rw=randwrite --bsrange=512-128k --bs_unaligned \
      --ioengine=psync --verify=crc32c --verify_fatal=1 --do_verify=1 --io_size=64M`;
    await bash(script, data, volumes.local('.'));
  });

  test('fio verifies queued direct I/O', async (t) => {
    if (!needs(t, 'fio')) return;
    const data = await volumes.volume('64MiB');
    const script = `cd "$2"; fio --name=queued --filename="$1" --size=64M --rw=randrw --bs=4k --ioengine=libaio --iodepth=16 \
      --direct=1 --verify=crc32c --verify_fatal=1 --verify_backlog=512 --fsync=128`;
    await bash(script, data, volumes.local('.'));
  });

  test('a volume with 64 KiB blocks takes writes of any size', async () => {
    const data = await volumes.volume('4MiB', '--block-size', '64KiB');
    const script = `head -c 4M /dev/urandom > "$2"
      dd if="$2" of="$1" bs=700 status=none conv=notrunc; cmp "$1" "$2"`;
    await bash(script, data, volumes.local('large-blocks'));
  });

  test('eight volumes are written at once and keep their own bytes', async () => {
    const paths = await Promise.all(Array.from({ length: 8 }, () => volumes.volume('16MiB')));
    const script = `
      for data in "$@"; do head -c 16M /dev/urandom > "$data.expected"; done
      for data in "$@"; do dd if="$data.expected" of="$(cat "$data.path")" bs=64k conv=notrunc,fsync status=none & done
      wait
      for data in "$@"; do cmp "$(cat "$data.path")" "$data.expected"; done`;
    const keys = paths.map((_, index) => volumes.local(`many-${index}`));
    await Promise.all(paths.map((path, index) => bash('echo "$1" > "$2.path"', path, keys[index] ?? '')));
    await bash(script, ...keys);
  });
}
