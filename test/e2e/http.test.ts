import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { Agent, request, type Dispatcher } from 'undici';
import { useDaemon } from './support/daemon-fixture.ts';
import { bash } from './support/shell.ts';

describe('HTTP', { timeout: 120_000 }, () => {
  const fixture = useDaemon();

  async function control(method: Dispatcher.HttpMethod, path: string, body?: string): Promise<[number, unknown]> {
    const agent = new Agent({ connect: { socketPath: join(fixture.daemon.storagePath, 'control.sock') } });
    const sent = body === undefined ? {} : { body, headers: { 'content-type': 'application/json' } };
    const answer = await request(`http://galleonfs/api/v1${path}`, { method, dispatcher: agent, ...sent });
    const text = await answer.body.text();
    await agent.close();
    return [answer.statusCode, text === '' ? undefined : JSON.parse(text)];
  }

  test('/healthz says ok', async () => {
    const answer = await fetch(`http://${fixture.daemon.address}/healthz`);
    assert.equal(answer.status, 200);
    assert.equal(((await answer.json()) as { status: string }).status, 'ok');
  });

  test('/metrics count what went through the mount', async () => {
    const data = await fixture.daemon.createVolume('counted', '16MiB');
    await bash('dd if=/dev/zero of="$1" bs=1M count=4 conv=notrunc,fsync status=none', data);
    const metrics = await (await fetch(`http://${fixture.daemon.address}/metrics`)).text();
    const value = (series: string): number =>
      Number(
        metrics
          .split('\n')
          .find((line) => line.startsWith(series))
          ?.split(' ')[1],
      );
    assert.equal(value('galleonfs_volume_bytes_total{volume="counted",operation="write"}'), 4 * 1024 ** 2);
    assert.ok(value('galleonfs_volume_operations_total{volume="counted",operation="flush"}') >= 1);
    assert.ok(value('galleonfs_volume_operation_duration_seconds_count{volume="counted",operation="write"}') >= 4);
    assert.ok(value('galleonfs_fuse_requests_total{volume="counted"}') > 4);
  });

  test('the control API is not served on TCP', async () => {
    const answer = await fetch(`http://${fixture.daemon.address}/api/v1/status`);
    assert.equal(answer.status, 403);
    assert.match(answer.headers.get('content-type') ?? '', /^application\/problem\+json/);
  });

  test('the control API makes and deletes volumes', async () => {
    const [created, volume] = await control('POST', '/volumes', JSON.stringify({ name: 'api', sizeBytes: 1024 ** 2 }));
    assert.equal(created, 201);
    assert.equal((volume as { state: string }).state, 'mounted');
    assert.equal((await control('DELETE', '/volumes/api'))[0], 204);
    assert.equal((await control('GET', '/volumes/api'))[0], 404);
  });

  const refused: [
    what: string,
    method: Dispatcher.HttpMethod,
    path: string,
    body: string | undefined,
    status: number,
    code: string,
  ][] = [
    ['a body that is no JSON', 'POST', '/volumes', '{', 400, 'REQUEST_INVALID'],
    [
      'a member nobody knows',
      'POST',
      '/volumes',
      '{"name":"x","sizeBytes":1048576,"fast":true}',
      400,
      'REQUEST_INVALID',
    ],
    ['a missing member', 'POST', '/volumes', '{"name":"x"}', 400, 'REQUEST_INVALID'],
    ['a size that is text', 'POST', '/volumes', '{"name":"x","sizeBytes":"1GiB"}', 400, 'REQUEST_INVALID'],
    ['a bad size', 'POST', '/volumes', '{"name":"x","sizeBytes":5}', 400, 'VOLUME_SIZE_INVALID'],
    ['a relative mount path', 'POST', '/volumes/x/mount', '{"path":"x"}', 400, 'REQUEST_INVALID'],
    ['a body that is too large', 'POST', '/volumes', `{"name":"${'x'.repeat(100_000)}"}`, 413, 'REQUEST_INVALID'],
    ['a name that climbs', 'GET', '/volumes/..%2f..%2fetc', undefined, 400, 'VOLUME_NAME_INVALID'],
    ['an unknown path', 'GET', '/nothing', undefined, 404, 'ROUTE_NOT_FOUND'],
  ];
  for (const [what, method, path, body, status, code] of refused) {
    test(`${what} is answered with ${status} and a problem`, async () => {
      const [answered, problem] = await control(method, path, body);
      assert.equal((problem as { code: string }).code, code);
      assert.equal((problem as { status: number }).status, status);
      assert.equal(answered, status);
    });
  }
});
