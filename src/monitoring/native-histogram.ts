import { Histogram } from 'prom-client';
import type { OperationStats } from '../storage/index.ts';

type HistogramReading = Awaited<ReturnType<Histogram['get']>>;

export interface HistogramSource {
  readonly labels: Readonly<Record<string, string>>;
  readonly stats: OperationStats;
}

interface NativeHistogramOptions {
  readonly name: string;
  readonly help: string;
  readonly labelNames: readonly string[];
  readonly read: () => HistogramSource[];
}

const US_PER_S = 1e6;

/**
 * A Prometheus histogram over counters that the native half keeps: bucket i counts what took less than 2^i microseconds,
 * the last one everything else. Built anew for each scrape.
 */
export class NativeHistogram extends Histogram {
  readonly #options: NativeHistogramOptions;

  constructor(options: NativeHistogramOptions) {
    const { name, help, labelNames } = options;
    super({ name, help, labelNames, registers: [] });
    this.#options = options;
  }

  /** What the registry and `get` call. */
  getForPromString(): Promise<Pick<HistogramReading, 'name' | 'help' | 'values'> & { type: 'histogram' }> {
    const { name, help, read } = this.#options;
    return Promise.resolve({
      name,
      help,
      type: 'histogram',
      values: read().flatMap((source) => seriesOf(name, source)),
    });
  }
}

function seriesOf(name: string, { labels, stats }: HistogramSource): HistogramReading['values'] {
  const values: HistogramReading['values'] = [];
  const finite = stats.latency.slice(0, -1);
  let cumulative = 0;
  finite.forEach((count, exponent) => {
    cumulative += count;
    values.push({
      metricName: `${name}_bucket`,
      labels: { ...labels, le: 2 ** exponent / US_PER_S },
      value: cumulative,
    });
  });
  // The buckets, not `operations`: they are read one by one, and count and +Inf must agree.
  const total = cumulative + (stats.latency.at(-1) ?? 0);
  values.push({ metricName: `${name}_bucket`, labels: { ...labels, le: '+Inf' }, value: total });
  values.push({ metricName: `${name}_sum`, labels: { ...labels }, value: stats.latencyUsSum / US_PER_S });
  values.push({ metricName: `${name}_count`, labels: { ...labels }, value: total });
  return values;
}
