import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bash, tryBash } from '../shell.ts';
import { MIB, type MountedVolumes } from './mounted-volumes.ts';

/** The directory of a volume: what is in it, and that it stays so. */
export function directoryTests(volumes: MountedVolumes): void {
  test('shows data, README.txt and .galleonfs_metadata, and nothing else', async () => {
    const data = await volumes.volume('4MiB');
    assert.equal(await bash('cd "$(dirname "$1")"; ls -A | sort', data), '.galleonfs_metadata\nREADME.txt\ndata\n');
  });

  test('describes itself in README.txt and, as JSON, in .galleonfs_metadata', async () => {
    const data = await volumes.volume('4MiB');
    assert.match(await bash('cat "$(dirname "$1")/README.txt"', data), /block device/);
    const metadata = JSON.parse(await bash('cat "$(dirname "$1")/.galleonfs_metadata"', data)) as Record<
      string,
      unknown
    >;
    assert.equal(metadata['sizeBytes'], 4 * MIB);
  });

  test('data has the size, mode and owner of the volume', async () => {
    const data = await volumes.volume('4MiB');
    assert.equal(await bash('stat -c "%s %a %u %F" "$1"', data), `${4 * MIB} 600 ${process.getuid?.()} regular file\n`);
  });

  test('a new volume reads as zeros', async () => {
    const data = await volumes.volume('4MiB');
    await bash('cmp -n 4194304 "$1" /dev/zero', data);
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
      const data = await volumes.volume('1MiB');
      const { exitCode, stderr } = await tryBash(`cd "$(dirname "$1")"; ${script}`, data);
      assert.notEqual(exitCode, 0);
      assert.match(stderr, /Operation not permitted/);
    });
  }

  test('README.txt cannot be written', async () => {
    const data = await volumes.volume('1MiB');
    const { stderr } = await tryBash('echo x > "$(dirname "$1")/README.txt"', data);
    assert.match(stderr, /Permission denied|Operation not permitted/);
  });

  test('df shows the size of the volume', async () => {
    const data = await volumes.volume('64MiB');
    assert.equal(await bash('df --output=size -B1 "$1" | tail -1 | tr -d " "', data), `${64 * MIB}\n`);
  });

  test('touch and cp --preserve succeed', async () => {
    const data = await volumes.volume('1MiB');
    await bash(
      'touch "$1"; head -c 1M /dev/urandom > "$2"; chmod 600 "$2"; cp --preserve=mode,timestamps "$2" "$1"; cmp "$1" "$2"',
      data,
      volumes.local('kept'),
    );
  });

  test('a read-only mount refuses writes with EROFS', async () => {
    const data = await volumes.volume('1MiB');
    const name = data.split('/').at(-2) ?? '';
    await volumes.daemon.galleonfs('unmount', name);
    await volumes.daemon.galleonfs('mount', name, '-o', 'ro');
    const { stderr } = await tryBash('echo x > "$1"', data);
    assert.match(stderr, /Read-only file system/);
    await bash('cmp -n 1048576 "$1" /dev/zero', data);
  });
}
