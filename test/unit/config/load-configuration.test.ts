import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { loadConfiguration, parseBindAddress, unknownVariables } from '../../../src/config/index.ts';

const directory = mkdtempSync(join(tmpdir(), 'galleonfs-config-'));
after(() => rmSync(directory, { recursive: true }));

function configurationFile(content: unknown): string {
  const path = join(directory, `${Math.random()}.json`);
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content));
  return path;
}

test('a flag wins over its variable, that over the file, that over the default', () => {
  const file = configurationFile({ logLevel: 'warn', cacheSize: '32MiB', bindAddress: '127.0.0.1:1' });
  const environment = { GALLEONFS_LOG_LEVEL: 'error', GALLEONFS_CACHE_SIZE: '16MiB' };
  const configuration = loadConfiguration({ flags: { logLevel: 'debug' }, environment, file });
  assert.equal(configuration.logLevel, 'debug');
  assert.equal(configuration.cacheSizeBytes, 16 * 1024 ** 2);
  assert.equal(configuration.bindAddress.port, 1);
  assert.equal(configuration.fuseDriver, 'native');
});

test('the file can be named by GALLEONFS_CONFIG', () => {
  const file = configurationFile({ demoMode: true });
  assert.equal(loadConfiguration({ environment: { GALLEONFS_CONFIG: file } }).demoMode, true);
});

test('running without a supervisor can be asked for in every place', () => {
  const file = configurationFile({ noSupervisor: true });
  assert.equal(loadConfiguration({}).noSupervisor, false);
  assert.equal(loadConfiguration({ flags: { noSupervisor: true } }).noSupervisor, true);
  assert.equal(loadConfiguration({ environment: { GALLEONFS_NO_SUPERVISOR: '1' } }).noSupervisor, true);
  assert.equal(loadConfiguration({ file }).noSupervisor, true);
  assert.equal(loadConfiguration({ environment: { GALLEONFS_NO_SUPERVISOR: 'no' }, file }).noSupervisor, false);
});

test('the configuration is frozen', () => {
  const configuration = loadConfiguration({});
  assert.ok(Object.isFrozen(configuration));
  assert.ok(Object.isFrozen(configuration.bindAddress));
});

test('an unknown key in the file is refused, and the valid ones are named', () => {
  const file = configurationFile({ storagepath: '/x' });
  assert.throws(() => loadConfiguration({ file }), {
    code: 'CONFIG_INVALID',
    message: /"storagepath".*storagePath, mountPoint/,
  });
});

test('a file that is no JSON object is refused', () => {
  for (const content of ['{', '[]', '3', 'null']) {
    assert.throws(() => loadConfiguration({ file: configurationFile(content) }), { code: 'CONFIG_INVALID' }, content);
  }
  assert.throws(() => loadConfiguration({ file: join(directory, 'missing') }), { code: 'CONFIG_INVALID' });
});

test('a bad value says which setting, where from, and what is wrong', () => {
  const environment = { GALLEONFS_FUSE_DRIVER: 'fast' };
  assert.throws(() => loadConfiguration({ environment }), {
    code: 'CONFIG_INVALID',
    message: /GALLEONFS_FUSE_DRIVER.*"fast".*native, portable/,
  });
  assert.throws(() => loadConfiguration({ flags: { cacheSizeBytes: '1K' } }), { message: /--cache-size.*1MiB/ });
  assert.throws(() => loadConfiguration({ file: configurationFile({ demoMode: 'perhaps' }) }), {
    message: /"demoMode".*perhaps/,
  });
});

test('the storage path and the mount point must not lie within each other', () => {
  for (const [storagePath, mountPoint] of [
    ['/a', '/a/b'],
    ['/a/b', '/a'],
    ['/a', '/a'],
  ]) {
    assert.throws(() => loadConfiguration({ flags: { storagePath, mountPoint } }), { code: 'CONFIG_INVALID' });
  }
  assert.doesNotThrow(() => loadConfiguration({ flags: { storagePath: '/a/store', mountPoint: '/a/store-mounts' } }));
});

test('variables that no setting has are found', () => {
  assert.deepEqual(unknownVariables({ GALLEONFS_STORAGE_PTH: '/x', GALLEONFS_CONFIG: '/c', HOME: '/h' }), [
    'GALLEONFS_STORAGE_PTH',
  ]);
});

test('bind addresses', () => {
  assert.deepEqual(parseBindAddress('127.0.0.1:8080'), { host: '127.0.0.1', port: 8080 });
  assert.deepEqual(parseBindAddress('[::1]:0'), { host: '::1', port: 0 });
  assert.deepEqual(parseBindAddress(':80'), { host: '::', port: 80 });
  for (const text of ['', '8080', '127.0.0.1', 'a:b', 'a:65536', '[x]:1', '::1:80']) {
    assert.throws(() => parseBindAddress(text), RangeError, text);
  }
});

test('the time between scrubs is a week, another, or off', () => {
  assert.equal(loadConfiguration({}).scrubIntervalMs, 7 * 86_400_000);
  assert.equal(loadConfiguration({ flags: { scrubIntervalMs: '12h' } }).scrubIntervalMs, 12 * 3_600_000);
  assert.equal(loadConfiguration({ environment: { GALLEONFS_SCRUB_INTERVAL: 'off' } }).scrubIntervalMs, null);
  assert.throws(() => loadConfiguration({ flags: { scrubIntervalMs: 'often' } }), { code: 'CONFIG_INVALID' });
});
