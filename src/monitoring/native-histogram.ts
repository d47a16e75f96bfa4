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
  readonly #read: () => HistogramSource[];

  constructor({ name, help, labelNames, read }: NativeHistogramOptions) {
    super({ name, help, labelNames, registers: [] });
    this.#read = read;
  }

  override async get(): Promise<HistogramReading> {
    const described = await super.get();
    return { ...described, values: this.#read().flatMap((source) => seriesOf(described.name, source)) };
  }

  /** What the registry calls for the text format. */
  async getForPromString(): Promise<HistogramReading> {
    return await this.get();
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
