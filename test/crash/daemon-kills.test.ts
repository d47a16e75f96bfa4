import { describe, test } from 'node:test';
import { needs } from '../e2e/support/needs.ts';
import { killRepeatedly, quantile } from './daemon-kills.ts';
import { WORKLOAD_TOOLS, type WorkloadName } from './workloads.ts';

const LOADS: readonly WorkloadName[] = ['fio', 'discards', 'files'];

describe('programs on mounts whose daemon is killed again and again', { timeout: 300_000 }, () => {
  for (const inFlight of ['auto', 'slots'] as const) {
    test(`see pauses, no error and no wrong byte (requests in flight: ${inFlight})`, async (t) => {
      if (!needs(t, ...LOADS.flatMap((name) => WORKLOAD_TOOLS[name]))) return;
      const pauses = await killRepeatedly({ kills: 8, inFlight, workloads: LOADS });
      t.diagnostic(
        `pauses: median ${quantile(pauses, 0.5).toFixed(0)} ms, longest ${quantile(pauses, 1).toFixed(0)} ms`,
      );
    });
  }
});
