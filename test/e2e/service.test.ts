/** The system service, as far as it can be tried without systemd. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, test } from 'node:test';
import { GalleonfsDaemon } from './support/galleonfs-daemon.ts';
import { needs } from './support/needs.ts';
import { Scratch } from './support/scratch.ts';
import { bash, tryBash } from './support/shell.ts';

const LAUNCHER = resolve(import.meta.dirname, '../../bin/galleonfs');
const UNIT = resolve(import.meta.dirname, '../../systemd/galleonfs.service');
const GENERATOR = '/lib/systemd/system-generators/systemd-fstab-generator';
const CONFINED = join(import.meta.dirname, 'support/confined.py');

describe('the daemon with no more rights than its unit gives', { timeout: 120_000 }, () => {
  for (const driver of ['native', 'portable'] as const) {
    test(`mounts, serves, unmounts and stops with the ${driver} driver`, async (t) => {
      if (!needs(t, 'root', 'systemd-analyze', 'python3')) return;
      await using scratch = await Scratch.make();
      await using daemon = await GalleonfsDaemon.start({
        directory: scratch.at('daemon'),
        driver,
        flags: ['--no-supervisor', '--allow-other'],
        through: ['python3', CONFINED, UNIT],
      });
      assert.match(readFileSync(`/proc/${daemon.pid}/status`, 'utf8'), /^Seccomp:\t2$/m);
      const data = await daemon.createVolume('a', '8MiB', '-o', 'uid=12345,mode=644');
      await bash(
        'head -c 8M /dev/urandom | tee "$2" > "$1" && cmp "$1" "$2" && stat -c %u "$1"',
        data,
        scratch.at('copy'),
      );
      await daemon.galleonfs('unmount', 'a');
      await daemon.galleonfs('mount', 'a', scratch.at('there'));
      await bash('cmp "$1" "$2"', scratch.at('there/data'), scratch.at('copy'));
      await daemon.stop();
      assert.doesNotMatch(daemon.log(), /"level":"(warn|error|fatal)"/);
    });
  }
});

describe('the example of a database on a volume in README.md', { timeout: 60_000 }, () => {
  test('starts in order, without a cycle', async (t) => {
    if (!needs(t, 'systemd-analyze', GENERATOR)) return;
    await using scratch = await Scratch.make();
    const readme = readFileSync(resolve(import.meta.dirname, '../../README.md'), 'utf8');
    await scratch.write('fstab', Buffer.from(/^\s*(\/mnt\/galleonfs\/database\/data .*)$/m.exec(readme)?.[1] ?? ''));
    const requires = /^\s*(RequiresMountsFor=\/srv\/db)$/m.exec(readme)?.[1] ?? '';
    await scratch.write('database.service', Buffer.from(`[Unit]\n${requires}\n[Service]\nExecStart=/bin/true\n`));
    const said = await bash(
      `cd "$1"
      "$3" install-service --root . > installed
      mkdir generated
      SYSTEMD_FSTAB="$1/fstab" "$2" generated generated generated
      grep -q 'Requires=galleonfs-mount@database.service' generated/srv-db.mount
      units=etc/systemd/system
      mv database.service $units
      mkdir $units/multi-user.target.wants
      for unit in galleonfs.service database.service; do ln -s ../$unit $units/multi-user.target.wants/; done
      ln -s ../galleonfs-mount@.service $units/multi-user.target.wants/galleonfs-mount@database.service
      SYSTEMD_UNIT_PATH="$1/$units:$1/generated:/lib/systemd/system" systemd-analyze verify multi-user.target 2>&1`,
      scratch.path,
      GENERATOR,
      LAUNCHER,
    );
    assert.doesNotMatch(said, /cycle|galleonfs|database|srv-db/);
  });
});

describe('galleonfs mount --if-needed', { timeout: 120_000 }, () => {
  test('mounts what is not mounted, and is content with what is, where it is to be', async () => {
    await using scratch = await Scratch.make();
    await using daemon = await GalleonfsDaemon.start({ directory: scratch.at('daemon') });
    await daemon.createVolume('a', '1MiB');
    await daemon.galleonfs('mount', '--if-needed', 'a');
    assert.equal((await daemon.tryGalleonfs('mount', 'a')).exitCode, 6);
    assert.equal((await daemon.tryGalleonfs('mount', '--if-needed', 'a', scratch.at('elsewhere'))).exitCode, 6);
    await daemon.galleonfs('unmount', 'a');
    await daemon.galleonfs('mount', '--if-needed', 'a');
    assert.equal(daemon.isMounted('a'), true);
  });
});

describe('galleonfs install-service and uninstall-service', { timeout: 60_000 }, () => {
  test('put units below a directory, and take them away again', async () => {
    await using scratch = await Scratch.make();
    const said = await bash('"$1" install-service --root "$2" --storage-path /srv/galleon', LAUNCHER, scratch.path);
    assert.match(said, /^Wrote \/etc\/systemd\/system\/galleonfs\.service$/m);
    assert.match(said, /^Nothing was enabled below/m);
    const unit = readFileSync(scratch.at('etc/systemd/system/galleonfs.service'), 'utf8');
    assert.match(unit, /^RequiresMountsFor=\/srv\/galleon$/m);
    assert.match(unit, new RegExp(`^ExecStart=${LAUNCHER} `, 'm'));
    await bash('"$1" uninstall-service --root "$2"', LAUNCHER, scratch.path);
    assert.equal(existsSync(scratch.at('etc/systemd/system/galleonfs.service')), false);
  });

  test('with --json print what they did', async () => {
    await using scratch = await Scratch.make();
    const said = await bash('"$1" install-service --root "$2" --dry-run --json', LAUNCHER, scratch.path);
    const report = JSON.parse(said) as { dryRun: boolean; steps: unknown[] };
    assert.equal(report.dryRun, true);
    assert.equal(report.steps.length, 4);
  });

  test('a setting that makes no sense ends with exit code 29', async () => {
    await using scratch = await Scratch.make();
    const { exitCode, stderr } = await tryBash(
      '"$1" install-service --root "$2" --log-level loud',
      LAUNCHER,
      scratch.path,
    );
    assert.equal(exitCode, 29);
    assert.match(stderr, /--log-level.*"loud"/);
  });
});
