import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  installService,
  uninstallService,
  type InstallServiceRequest,
  type ServiceManager,
  type ServiceReport,
} from '../../../src/service/index.ts';
import { TemporaryDirectory } from '../support/temporary-directory.ts';

const UNIT = '/etc/systemd/system/galleonfs.service';
const MOUNT_UNIT = '/etc/systemd/system/galleonfs-mount@.service';
const CONFIGURATION = '/etc/galleonfs/galleonfs.json';
const RECORD = '/etc/galleonfs/installed.json';

const nobody: ServiceManager = {
  isRunning: true,
  systemctl: () => Promise.reject(new Error('systemctl must not be called')),
};

function request(root: string, changes: Partial<InstallServiceRequest> = {}): InstallServiceRequest {
  return { root, prefix: '/opt/galleonfs', settings: {}, now: false, force: false, dryRun: false, ...changes };
}

async function install(root: string, changes: Partial<InstallServiceRequest> = {}): Promise<ServiceReport> {
  return await installService(request(root, changes), nobody);
}

async function uninstall(root: string, changes: { force?: boolean; dryRun?: boolean } = {}): Promise<ServiceReport> {
  return await uninstallService({ root, force: false, dryRun: false, ...changes }, nobody);
}

function lines(root: string, path: string): string[] {
  return readFileSync(join(root, path), 'utf8').split('\n');
}

function configuration(root: string): unknown {
  return JSON.parse(readFileSync(join(root, CONFIGURATION), 'utf8'));
}

test('an installation writes the units and the settings, and makes the mount point', async () => {
  await using directory = await TemporaryDirectory.make();
  const { steps } = await install(directory.path);
  assert.deepEqual(steps, [
    { action: 'write', path: UNIT },
    { action: 'write', path: MOUNT_UNIT },
    { action: 'write', path: CONFIGURATION },
    { action: 'make directory', path: '/mnt/galleonfs' },
  ]);
  assert.deepEqual(configuration(directory.path), {
    storagePath: '/var/lib/galleonfs',
    mountPoint: '/mnt/galleonfs',
    setupDefaults: true,
  });
  assert.equal(statSync(join(directory.path, UNIT)).mode & 0o777, 0o644);
});

test('units of the default places are the shipped ones', async () => {
  await using directory = await TemporaryDirectory.make();
  await install(directory.path);
  for (const path of [UNIT, MOUNT_UNIT]) {
    const shipped = join(import.meta.dirname, '../../../systemd', path.split('/').at(-1) ?? '');
    assert.equal(readFileSync(join(directory.path, path), 'utf8'), readFileSync(shipped, 'utf8'));
  }
});

test('units name the installation, the settings and the storage path', async () => {
  await using directory = await TemporaryDirectory.make();
  await install(directory.path, { prefix: '/srv/my galleon', settings: { storagePath: '/srv/all volumes' } });
  const unit = lines(directory.path, UNIT);
  assert.ok(unit.includes(`ExecStart="/srv/my galleon/bin/galleonfs" --config ${CONFIGURATION}`));
  assert.ok(unit.includes('RequiresMountsFor="/srv/all volumes"'));
  assert.ok(unit.includes('Documentation=file:///srv/my%%20galleon/README.md'));
  assert.equal(unit.filter((line) => line.includes('/opt/galleonfs')).length, 0);
  const mountUnit = lines(directory.path, MOUNT_UNIT);
  assert.equal(
    mountUnit.filter((line) => /^Exec(Start|Stop)=-?"\/srv\/my galleon\/bin\/galleonfs"/.test(line)).length,
    2,
  );
});

test('paths that a unit cannot name are refused, and nothing is written', async () => {
  await using directory = await TemporaryDirectory.make();
  for (const prefix of ['/opt/100%', '/opt/$HOME', '/opt/a"b', '/opt/a\nb', '/opt/a\\b']) {
    await assert.rejects(install(directory.path, { prefix }), { code: 'SERVICE_PATH_UNSUITABLE' }, prefix);
  }
  assert.deepEqual(readdirSync(directory.path), []);
});

test('settings that the daemon would refuse are refused', async () => {
  await using directory = await TemporaryDirectory.make();
  const settings = { storagePath: '/mnt/galleonfs/inside' };
  await assert.rejects(install(directory.path, { settings }), { code: 'CONFIG_INVALID' });
  assert.deepEqual(readdirSync(directory.path), []);
});

test('installing again changes nothing', async () => {
  await using directory = await TemporaryDirectory.make();
  await install(directory.path, { settings: { logLevel: 'warn' } });
  const before = configuration(directory.path);
  const { steps } = await install(directory.path);
  assert.deepEqual(
    steps.map(({ action }) => action),
    ['keep', 'keep', 'keep'],
  );
  assert.deepEqual(configuration(directory.path), before);
});

test('installing again brings the units up to date, and puts in what is asked for', async () => {
  await using directory = await TemporaryDirectory.make();
  await install(directory.path, { settings: { logLevel: 'warn' } });
  await install(directory.path, { prefix: '/opt/newer', settings: { bindAddress: ':9' } });
  assert.ok(lines(directory.path, UNIT).some((line) => line.startsWith('ExecStart=/opt/newer/')));
  assert.deepEqual(configuration(directory.path), {
    storagePath: '/var/lib/galleonfs',
    mountPoint: '/mnt/galleonfs',
    setupDefaults: true,
    logLevel: 'warn',
    bindAddress: ':9',
  });
});

test("the user's own settings stay, at an installation and at a removal", async () => {
  await using directory = await TemporaryDirectory.make();
  mkdirSync(join(directory.path, 'etc/galleonfs'), { recursive: true });
  writeFileSync(join(directory.path, CONFIGURATION), '{"storagePath":"/srv/mine"}');
  await install(directory.path);
  assert.ok(lines(directory.path, UNIT).includes('RequiresMountsFor=/srv/mine'));
  assert.deepEqual(configuration(directory.path), { storagePath: '/srv/mine' });
  await uninstall(directory.path);
  assert.deepEqual(configuration(directory.path), { storagePath: '/srv/mine' });
  assert.equal(existsSync(join(directory.path, UNIT)), false);
});

test('a unit that somebody wrote or changed is overwritten by --force only', async () => {
  await using directory = await TemporaryDirectory.make();
  await install(directory.path);
  writeFileSync(join(directory.path, UNIT), '# mine');
  await assert.rejects(install(directory.path, { prefix: '/opt/newer' }), {
    code: 'SERVICE_FILE_CHANGED',
    message: /--force/,
  });
  assert.deepEqual(lines(directory.path, UNIT), ['# mine']);
  assert.ok(lines(directory.path, MOUNT_UNIT).some((line) => line.includes('=/opt/galleonfs/')));
  await install(directory.path, { force: true });
  assert.ok(lines(directory.path, UNIT).length > 10);
});

test('a removal takes away what was installed, and nothing else', async () => {
  await using directory = await TemporaryDirectory.make();
  mkdirSync(join(directory.path, 'etc/systemd/system'), { recursive: true });
  writeFileSync(join(directory.path, 'etc/systemd/system/other.service'), '');
  mkdirSync(join(directory.path, 'var/lib/galleonfs'), { recursive: true });
  writeFileSync(join(directory.path, 'var/lib/galleonfs/data'), 'precious');
  await install(directory.path);
  const { steps } = await uninstall(directory.path);
  assert.deepEqual(
    steps.map((step) => (step.action === 'run' ? step.command : step.path)),
    [UNIT, MOUNT_UNIT, CONFIGURATION, '/mnt/galleonfs', '/etc/galleonfs'],
  );
  assert.deepEqual(readdirSync(join(directory.path, 'etc')), ['systemd']);
  assert.deepEqual(readdirSync(join(directory.path, 'etc/systemd/system')), ['other.service']);
  assert.equal(readFileSync(join(directory.path, 'var/lib/galleonfs/data'), 'utf8'), 'precious');
});

test('a removal leaves what was changed since, unless forced', async () => {
  await using directory = await TemporaryDirectory.make();
  await install(directory.path);
  writeFileSync(join(directory.path, CONFIGURATION), '{"logLevel":"debug"}');
  const { notes } = await uninstall(directory.path);
  assert.match(notes.join('\n'), /galleonfs\.json was changed since/);
  assert.deepEqual(configuration(directory.path), { logLevel: 'debug' });
  assert.equal(existsSync(join(directory.path, RECORD)), false);
});

test('a forced removal takes changed files too', async () => {
  await using directory = await TemporaryDirectory.make();
  await install(directory.path);
  writeFileSync(join(directory.path, UNIT), '# mine');
  await uninstall(directory.path, { force: true });
  assert.equal(existsSync(join(directory.path, UNIT)), false);
});

test('removing what is not installed says so', async () => {
  await using directory = await TemporaryDirectory.make();
  const { steps, notes } = await uninstall(directory.path);
  assert.deepEqual(steps, []);
  assert.match(notes.join(), /not installed/);
});

test('a dry run writes and removes nothing', async () => {
  await using directory = await TemporaryDirectory.make();
  const planned = await install(directory.path, { dryRun: true });
  assert.equal(planned.steps.length, 4);
  assert.deepEqual(readdirSync(directory.path), []);
  await install(directory.path);
  await uninstall(directory.path, { dryRun: true });
  assert.ok(existsSync(join(directory.path, UNIT)));
  assert.ok(existsSync(join(directory.path, RECORD)));
});

test('a damaged record is an error that says what to do', async () => {
  await using directory = await TemporaryDirectory.make();
  await install(directory.path);
  writeFileSync(join(directory.path, RECORD), '{');
  await assert.rejects(uninstall(directory.path), { code: 'SERVICE_RECORD_DAMAGED', message: /remove it/ });
});

test('systemd is told where it runs, and only shown what it would be told in a dry run', async () => {
  const calls: string[] = [];
  const manager: ServiceManager = {
    isRunning: true,
    systemctl: (...args) => {
      calls.push(args.join(' '));
      return Promise.resolve('');
    },
  };
  const prefix = join(import.meta.dirname, '../../..');
  const report = await installService(request('', { prefix, dryRun: true, now: true, force: true }), manager);
  assert.deepEqual(
    report.steps.flatMap((step) => (step.action === 'run' ? [step.command] : [])),
    ['systemctl daemon-reload', 'systemctl enable --now galleonfs.service'],
  );
  assert.deepEqual(calls, []);
});

test('where systemd does not run, the way to enable it is shown', async () => {
  const prefix = join(import.meta.dirname, '../../..');
  const { notes } = await installService(request('', { prefix, dryRun: true, force: true }), {
    ...nobody,
    isRunning: false,
  });
  assert.match(notes.join('\n'), /systemd does not run here.*systemctl enable --now galleonfs/);
});

test('systemd finds nothing wrong with the units', { skip: !existsSync('/usr/bin/systemd-analyze') }, async () => {
  await using directory = await TemporaryDirectory.make();
  const prefix = join(directory.path, 'with a space');
  mkdirSync(prefix);
  symlinkSync(join(import.meta.dirname, '../../../bin'), join(prefix, 'bin'));
  symlinkSync(join(import.meta.dirname, '../../../README.md'), join(prefix, 'README.md'));
  await install(directory.path, { prefix });
  const units = [UNIT, MOUNT_UNIT.replace('@', '@database')].map((path) => join(directory.path, path));
  const said = execFileSync('systemd-analyze', ['verify', ...units], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  assert.equal(said, '');
});
