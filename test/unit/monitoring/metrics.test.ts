import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createMetrics } from '../../../src/monitoring/metrics.ts';
import { FAKE_STATS } from '../support/fake-engine.ts';

const latency = new Array<number>(28).fill(0);
latency[3] = 2;
latency[10] = 3;
latency[27] = 1;
const read = { operations: 6, bytes: 4096, errors: 1, latencyUsSum: 3_500_000, latency };

async function scrape(): Promise<string[]> {
  const stats = { ...FAKE_STATS, read, readOnlyReason: 'a flush failed' };
  const registry = createMetrics('1.2.3', () => [
    { name: 'a', stats, mount: undefined, failed: false, scrubbing: false },
  ]);
  await registry.metrics();
  return (await registry.metrics()).split('\n');
}

test('counters are what the native half says, however often they are scraped', async () => {
  const lines = await scrape();
  assert.ok(lines.includes('galleonfs_volume_operations_total{volume="a",operation="read"} 6'));
  assert.ok(lines.includes('galleonfs_volume_bytes_total{volume="a",operation="read"} 4096'));
  assert.ok(lines.includes('galleonfs_volume_read_only{volume="a"} 1'));
  assert.ok(lines.includes('galleonfs_build_info{version="1.2.3"} 1'));
});

test('latency buckets are cumulative, in seconds, and end with +Inf', async () => {
  const lines = await scrape();
  const series = (rest: string): string => `galleonfs_volume_operation_duration_seconds${rest}`;
  assert.ok(lines.includes(series('_bucket{volume="a",operation="read",le="0.000004"} 0')));
  assert.ok(lines.includes(series('_bucket{volume="a",operation="read",le="0.000008"} 2')));
  assert.ok(lines.includes(series('_bucket{volume="a",operation="read",le="67.108864"} 5')));
  assert.ok(lines.includes(series('_bucket{volume="a",operation="read",le="+Inf"} 6')));
  assert.ok(lines.includes(series('_count{volume="a",operation="read"} 6')));
  assert.ok(lines.includes(series('_sum{volume="a",operation="read"} 3.5')));
  assert.ok(lines.includes(`# TYPE ${series('')} histogram`));
});

test('every metric has help and a type', async () => {
  const lines = await scrape();
  const names = lines.filter((line) => line.startsWith('# TYPE')).map((line) => line.split(' ')[2] ?? '');
  for (const name of names)
    assert.ok(
      lines.some((line) => line.startsWith(`# HELP ${name} `)),
      name,
    );
  assert.ok(names.length > 30);
});
