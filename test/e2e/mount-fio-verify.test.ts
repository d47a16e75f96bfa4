/** Longer runs of fio's own verification, on data and on a loop device over it. */
import { describe, test } from 'node:test';
import { useDaemon } from './support/daemon-fixture.ts';
import { needs, needsPatience } from './support/needs.ts';
import { bash } from './support/shell.ts';

const VERIFY = '--verify=crc32c --verify_fatal=1 --do_verify=1';

const workloads: readonly { name: string; on: 'data' | 'loop' | 'both'; fio: string }[] = [
  {
    name: 'mixed sizes of 512 B to 1 MiB, unaligned',
    on: 'both',
    fio: `--size=512M --rw=randwrite --bsrange=512-1M --ioengine=psync ${VERIFY}`,
  },
  {
    name: 'mixed sizes of 4 KiB to 1 MiB, direct, depth 16',
    on: 'both',
    fio: `--size=512M --rw=randwrite --bsrange=4k-1M --ioengine=libaio --iodepth=16 --direct=1 --serialize_overlap=1 --fsync=128 ${VERIFY}`,
  },
  {
    name: 'reads and writes of 4 KiB, direct, depth 16',
    on: 'both',
    fio: `--size=512M --rw=randrw --bs=4k --ioengine=libaio --iodepth=16 --direct=1 --verify_backlog=512 --fsync=128 ${VERIFY}`,
  },
  {
    name: 'io_uring, buffered',
    on: 'both',
    fio: `--size=256M --rw=randwrite --bs=8k --ioengine=io_uring --iodepth=16 ${VERIFY}`,
  },
  { name: 'a shared mapping', on: 'data', fio: `--size=128M --rw=randwrite --bs=4k --ioengine=mmap ${VERIFY}` },
  {
    name: 'four writers that synchronise each write',
    on: 'both',
    fio: `--size=64M --numjobs=4 --offset_increment=64M --rw=randwrite --bs=4k --ioengine=psync --fdatasync=1 ${VERIFY}`,
  },
  {
    name: 'writes and discards',
    on: 'loop',
    fio: `--size=512M --rw=randtrimwrite --bs=16k --ioengine=libaio --iodepth=8 --direct=1 ${VERIFY}`,
  },
];

describe('fio verifies', { timeout: 1_800_000 }, () => {
  const fixture = useDaemon();

  for (const { name, on, fio } of workloads) {
    for (const target of ['data', 'loop'] as const) {
      if (on !== 'both' && on !== target) continue;
      test(`${name}, on ${target === 'data' ? 'data' : 'a loop device'}`, async (t) => {
        if (!needsPatience(t) || !needs(t, 'fio', ...(target === 'loop' ? ['root', 'losetup'] : []))) return;
        const data = await fixture.volume('1GiB');
        const attach = 'file=$(losetup --find --show --direct-io=on "$1"); trap \'losetup --detach "$file"\' EXIT';
        const said = await bash(
          `cd "$2"; ${target === 'loop' ? attach : 'file="$1"'}\nfio --name=verify --filename="$file" --eta=never ${fio}`,
          data,
          fixture.scratch.path,
        );
        for (const [bandwidth] of said.matchAll(/(READ|WRITE): bw=\S+/g)) t.diagnostic(bandwidth);
      });
    }
  }
});
