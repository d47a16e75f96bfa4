/** Beside a foreground that uses the volume a scrub takes at most this share of its rate. */
const BUSY_SHARE = 0.25;
const STEP_BYTES_MAX = 4 * 1024 ** 2;
const STEP_BYTES_MIN = 64 * 1024;
const STEPS_PER_SECOND = 8;

/** How fast a scrub goes: at most its rate, and a quarter of it while somebody else uses the volume. */
export class ScrubPace {
  readonly #rateBytesPerSecond: number;

  constructor(rateBytesPerSecond: number) {
    this.#rateBytesPerSecond = rateBytesPerSecond;
  }

  /** Small enough that a slow rate is no series of bursts. */
  get stepBytes(): number {
    const bytes = Math.floor((this.#rateBytesPerSecond * BUSY_SHARE) / STEPS_PER_SECOND);
    return Math.min(STEP_BYTES_MAX, Math.max(STEP_BYTES_MIN, bytes));
  }

  /** How long to wait after a step that read so much and took so long. */
  pauseMs(step: { readonly bytes: number; readonly tookMs: number; readonly busy: boolean }): number {
    const rate = this.#rateBytesPerSecond * (step.busy ? BUSY_SHARE : 1);
    return Math.max(0, (step.bytes / rate) * 1000 - step.tookMs);
  }
}
