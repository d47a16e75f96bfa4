import { formatByteSize } from '../lib/index.ts';
import type { CheckReport, StoreCheck } from '../storage/index.ts';

const REFRESH_MS = 200;

/** Runs a check; on a terminal with a line that shows how far it is. Ctrl-C cancels it. */
export async function showingCheckProgress(name: string, check: StoreCheck): Promise<CheckReport> {
  const onInterrupt = (): void => check.cancel();
  process.once('SIGINT', onInterrupt);
  const startedMs = performance.now();
  const timer = process.stderr.isTTY
    ? setInterval(
        () => process.stderr.write(`\r\u001b[K${line(name, check, performance.now() - startedMs)}`),
        REFRESH_MS,
      )
    : undefined;
  try {
    return await check.run();
  } finally {
    process.removeListener('SIGINT', onInterrupt);
    clearInterval(timer);
    if (timer !== undefined) process.stderr.write('\r\u001b[K');
  }
}

function line(name: string, check: StoreCheck, elapsedMs: number): string {
  const { doneBytes, totalBytes } = check.progress();
  const share = totalBytes === 0 ? 0 : Math.min(1, doneBytes / totalBytes);
  const rate = formatByteSize((doneBytes / Math.max(1, elapsedMs)) * 1000);
  return `${name}: ${Math.floor(share * 100)} %, ${formatByteSize(doneBytes)} of ${formatByteSize(totalBytes)}, ${rate}/s`;
}
