import type { Log } from '../lib/index.ts';

/** How the requests of one mount get on. */
export interface MountProgress {
  readonly volume: string;
  /** Being served. */
  readonly inFlight: number;
  readonly finished: number;
}

interface WatchdogParts {
  readonly notify: (state: string) => void;
  readonly progress: () => readonly MountProgress[];
  readonly log: Log;
  /** Milliseconds, monotonic. */
  readonly now?: () => number;
}

/** A request may wait for a slow disk this long before the daemon counts as stuck. */
const STALL_MS = 60_000;

/**
 * Tells whoever started the daemon that it is well (`WATCHDOG=1`), while its event loop runs and its data path moves: a
 * mount with requests in flight of which none was finished for a minute is stuck, and a restart is what can help it.
 */
export class Watchdog {
  readonly #parts: WatchdogParts;
  readonly #seen = new Map<string, { finished: number; since: number }>();
  #timer: NodeJS.Timeout | undefined;

  constructor(parts: WatchdogParts) {
    this.#parts = parts;
  }

  /** `environment` says how often (WATCHDOG_USEC, as systemd sets it); without it nobody watches. */
  start(environment: Readonly<NodeJS.ProcessEnv>): void {
    const limitMs = Number(environment['WATCHDOG_USEC'] ?? 0) / 1000;
    if (!(limitMs > 0)) return;
    this.#timer = setInterval(() => {
      this.feed();
    }, limitMs / 3).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** One look. */
  feed(): void {
    const stuck = this.#stuck();
    if (stuck === undefined) {
      this.#parts.notify('WATCHDOG=1');
    } else {
      this.#parts.log.error({ volume: stuck }, `requests on volume "${stuck}" are stuck: asking to be restarted`);
    }
  }

  #stuck(): string | undefined {
    const now = this.#parts.now?.() ?? performance.now();
    const progress = this.#parts.progress();
    const names = new Set(progress.map(({ volume }) => volume));
    for (const name of this.#seen.keys()) if (!names.has(name)) this.#seen.delete(name);
    let stuck: string | undefined;
    for (const { volume, inFlight, finished } of progress) {
      const seen = this.#seen.get(volume);
      if (seen?.finished === finished && inFlight > 0) {
        if (now - seen.since > STALL_MS) stuck ??= volume;
      } else {
        this.#seen.set(volume, { finished, since: now });
      }
    }
    return stuck;
  }
}
