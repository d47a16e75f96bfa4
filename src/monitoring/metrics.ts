import { collectDefaultMetrics, Counter, Gauge, Registry } from 'prom-client';
import type { OperationStats, StoreStats } from '../storage/index.ts';
import { NativeHistogram } from './native-histogram.ts';

/** What one volume shows to Prometheus. */
export interface VolumeReading {
  readonly name: string;
  /** Absent while the store is not open. */
  readonly stats?: StoreStats | undefined;
  /** Absent while not mounted. */
  readonly mount?: { readonly requests: number; readonly errors: number } | undefined;
  readonly failed: boolean;
  /** ISO 8601; absent while no scrub was done. */
  readonly lastScrubAt?: string | undefined;
  readonly scrubbing: boolean;
}

type OperationName = 'read' | 'write' | 'flush' | 'discard';
const OPERATIONS: readonly OperationName[] = ['read', 'write', 'flush', 'discard'];

interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/**
 * The metrics of a daemon. The native half counts; `read` is asked at each scrape, and nothing is counted in between.
 * Names and labels are part of the interface.
 */
export function createMetrics(version: string, read: () => readonly VolumeReading[]): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: 200 });

  const stores = (): { name: string; stats: StoreStats }[] =>
    read().flatMap(({ name, stats }) => (stats === undefined ? [] : [{ name, stats }]));
  const operations =
    (value: (stats: OperationStats) => number, names = OPERATIONS) =>
    (): Sample[] =>
      stores().flatMap(({ name, stats }) =>
        names.map((operation) => ({ labels: { volume: name, operation }, value: value(stats[operation]) })),
      );
  const volumes = (value: (stats: StoreStats) => number) => (): Sample[] =>
    stores().map(({ name, stats }) => ({ labels: { volume: name }, value: value(stats) }));
  const mounts = (value: (mount: NonNullable<VolumeReading['mount']>) => number) => (): Sample[] =>
    read().flatMap(({ name, mount }) =>
      mount === undefined ? [] : [{ labels: { volume: name }, value: value(mount) }],
    );

  const perOperation = ['volume', 'operation'];
  const perVolume = ['volume'];
  const counter = (name: string, help: string, labelNames: string[], samples: () => Sample[]): void => {
    registry.registerMetric(sampledCounter(`galleonfs_${name}`, help, labelNames, samples));
  };
  const gauge = (name: string, help: string, labelNames: string[], samples: () => Sample[]): void => {
    registry.registerMetric(sampledGauge(`galleonfs_${name}`, help, labelNames, samples));
  };

  gauge('build_info', 'Always 1; the version is the label.', ['version'], () => [{ labels: { version }, value: 1 }]);
  gauge('volume_failed', '1 if the volume could not be opened or mounted.', perVolume, () =>
    read().map(({ name, failed }) => ({ labels: { volume: name }, value: failed ? 1 : 0 })),
  );
  gauge(
    'volume_read_only',
    '1 if the volume refuses writes.',
    perVolume,
    volumes((s) => (s.readOnlyReason ? 1 : 0)),
  );
  gauge(
    'volume_refuses_writes',
    '1 if the last write was refused for want of space or descriptors.',
    perVolume,
    volumes((s) => (s.refusal ? 1 : 0)),
  );
  gauge('volume_mounted', '1 if the volume is mounted.', perVolume, () =>
    read().map(({ name, mount }) => ({ labels: { volume: name }, value: mount === undefined ? 0 : 1 })),
  );

  counter(
    'volume_operations_total',
    'Operations on the volume.',
    perOperation,
    operations((s) => s.operations),
  );
  counter(
    'volume_bytes_total',
    'Bytes read, written and discarded.',
    perOperation,
    operations((s) => s.bytes, ['read', 'write', 'discard']),
  );
  counter(
    'volume_errors_total',
    'Operations that failed.',
    perOperation,
    operations((s) => s.errors),
  );
  registry.registerMetric(
    new NativeHistogram({
      name: 'galleonfs_volume_operation_duration_seconds',
      help: 'Time from the start of an operation in the store to its end.',
      labelNames: perOperation,
      read: () =>
        stores().flatMap(({ name, stats }) =>
          OPERATIONS.map((operation) => ({ labels: { volume: name, operation }, stats: stats[operation] })),
        ),
    }),
  );

  counter(
    'volume_cache_hits_total',
    'Metadata pages found in the cache.',
    perVolume,
    volumes((s) => s.cacheHits),
  );
  counter(
    'volume_cache_misses_total',
    'Metadata pages read from disk.',
    perVolume,
    volumes((s) => s.cacheMisses),
  );
  counter(
    'volume_checksum_failures_total',
    'Blocks or metadata that failed verification.',
    perVolume,
    volumes((s) => s.checksumFailures),
  );
  counter('volume_damage_total', 'Failed verifications, by what failed.', ['volume', 'kind'], () =>
    stores().flatMap(({ name, stats }) =>
      Object.entries(stats.failuresByKind).map(([kind, value]) => ({ labels: { volume: name, kind }, value })),
    ),
  );
  counter(
    'volume_scrubbed_bytes_total',
    'Bytes verified against the medium by scrubs.',
    perVolume,
    volumes((s) => s.scrubbedBytes),
  );
  counter(
    'volume_scrub_finds_total',
    'What scrubs found damaged.',
    perVolume,
    volumes((s) => s.scrubFinds),
  );
  counter(
    'volume_scrub_healed_total',
    'What scrubs found damaged and put right.',
    perVolume,
    volumes((s) => s.scrubHealed),
  );
  gauge('volume_scrub_running', '1 while the volume is scrubbed.', perVolume, () =>
    read().map(({ name, scrubbing }) => ({ labels: { volume: name }, value: scrubbing ? 1 : 0 })),
  );
  gauge('volume_last_scrub_timestamp_seconds', 'When the last scrub was done; 0: never.', perVolume, () =>
    read().map(({ name, lastScrubAt }) => ({
      labels: { volume: name },
      value: lastScrubAt === undefined ? 0 : Date.parse(lastScrubAt) / 1000,
    })),
  );
  counter(
    'volume_checkpoints_total',
    'Checkpoints taken.',
    perVolume,
    volumes((s) => s.checkpoints),
  );
  counter(
    'volume_compacted_bytes_total',
    'Bytes rewritten by compaction.',
    perVolume,
    volumes((s) => s.compactedBytes),
  );
  gauge(
    'volume_size_bytes',
    'Size of the volume.',
    perVolume,
    volumes((s) => s.sizeBytes),
  );
  gauge(
    'volume_live_bytes',
    'Bytes of live data.',
    perVolume,
    volumes((s) => s.liveBytes),
  );
  gauge(
    'volume_segment_bytes',
    'Bytes of segment files on disk.',
    perVolume,
    volumes((s) => s.segmentBytes),
  );
  gauge(
    'volume_free_segment_bytes',
    'Bytes of segments waiting to be reused.',
    perVolume,
    volumes((s) => s.freeSegmentBytes),
  );
  gauge(
    'volume_map_bytes',
    'Bytes of the block map on disk.',
    perVolume,
    volumes((s) => s.mapBytes),
  );
  gauge(
    'volume_segments',
    'Segments in use.',
    perVolume,
    volumes((s) => s.segments),
  );
  gauge(
    'volume_unflushed_operations',
    'Operations acknowledged and not yet flushed.',
    perVolume,
    volumes((s) => Math.max(0, s.nextLsn - 1 - s.durableLsn)),
  );

  counter(
    'fuse_requests_total',
    'Requests the kernel sent to the mount.',
    perVolume,
    mounts((m) => m.requests),
  );
  counter(
    'fuse_errors_total',
    'Requests answered with an error.',
    perVolume,
    mounts((m) => m.errors),
  );
  return registry;
}

function sampledCounter(name: string, help: string, labelNames: string[], samples: () => Sample[]): Counter {
  return new Counter({
    name,
    help,
    labelNames,
    registers: [],
    collect() {
      this.reset();
      for (const { labels, value } of samples()) this.inc(labels, value);
    },
  });
}

function sampledGauge(name: string, help: string, labelNames: string[], samples: () => Sample[]): Gauge {
  return new Gauge({
    name,
    help,
    labelNames,
    registers: [],
    collect() {
      this.reset();
      for (const { labels, value } of samples()) this.set(labels, value);
    },
  });
}
