import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import { silentLog, type Log } from '../../../src/lib/index.ts';
import { warnAboutRequestTimeout } from '../../../src/mount/request-timeout.ts';
import { TemporaryDirectory } from '../support/temporary-directory.ts';

/** What is said with these settings of the kernel. */
async function saidWith(settings: Readonly<Record<string, string>>): Promise<string[]> {
  await using directory = await TemporaryDirectory.make();
  for (const [name, value] of Object.entries(settings)) await writeFile(directory.at(name), value);
  const said: string[] = [];
  const log: Log = { ...silentLog, warn: (_fields, message) => void said.push(message) };
  await warnAboutRequestTimeout(log, directory.at(''));
  return said;
}

test('a kernel that ends slow mounts is warned about, with the setting and its value', async () => {
  const said = await saidWith({ default_request_timeout: '30\n', max_request_timeout: '0\n' });
  assert.equal(said.length, 1);
  assert.match(said[0] ?? '', /longer than 30 s.*fs\.fuse\.default_request_timeout=0/);
});

test('a kernel that does not, or is too old to know, is not', async () => {
  assert.deepEqual(await saidWith({ default_request_timeout: '0\n', max_request_timeout: '0\n' }), []);
  assert.deepEqual(await saidWith({}), []);
});
