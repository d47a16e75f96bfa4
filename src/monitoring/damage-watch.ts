import type { Log } from '../lib/index.ts';
import type { Damage } from '../storage/index.ts';

/** A store, as far as its damage goes. */
export interface DamageSource {
  readonly name: string;
  /** All kept findings, oldest first. */
  readonly damage: () => readonly Damage[];
  /** Counts every finding, also those no longer kept. */
  readonly checksumFailures: () => number;
  /** Empty while the volume can be written. */
  readonly readOnlyReason: () => string;
  /** Empty while writes find space. */
  readonly refusal: () => string;
}

/** Logs each piece of damage once, soon after it was found, and the moment a volume turns read-only or refuses writes. */
export class DamageWatch {
  readonly #log: Log;
  readonly #sources: () => readonly DamageSource[];
  readonly #failuresSeen = new Map<string, number>();
  readonly #damageLogged = new Map<string, Set<string>>();
  readonly #readOnlyLogged = new Map<string, string>();
  readonly #refusalLogged = new Map<string, string>();
  #timer: NodeJS.Timeout | undefined;

  constructor(log: Log, sources: () => readonly DamageSource[]) {
    this.#log = log;
    this.#sources = sources;
  }

  start(intervalMs: number): void {
    this.#timer = setInterval(() => this.look(), intervalMs);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  look(): void {
    for (const source of this.#sources()) {
      this.#lookForDamage(source);
      this.#lookForReadOnly(source);
      this.#lookForRefusal(source);
    }
  }

  #lookForDamage({ name, damage, checksumFailures }: DamageSource): void {
    const failures = checksumFailures();
    if (failures === (this.#failuresSeen.get(name) ?? 0)) return;
    this.#failuresSeen.set(name, failures);
    const logged = this.#damageLogged.get(name) ?? new Set<string>();
    const found = damage();
    const fresh = found.filter((piece) => !logged.has(keyOf(piece)));
    for (const piece of fresh) {
      this.#log.error(
        { volume: name, ...piece },
        `volume "${name}": damage found: ${piece.kind} in ${piece.file}: ${piece.detail}`,
      );
    }
    this.#damageLogged.set(name, new Set(found.map(keyOf)));
  }

  #lookForReadOnly({ name, readOnlyReason }: DamageSource): void {
    const reason = readOnlyReason();
    if (reason === (this.#readOnlyLogged.get(name) ?? '')) return;
    this.#readOnlyLogged.set(name, reason);
    if (reason !== '') this.#log.error({ volume: name, reason }, `volume "${name}" is read-only now: ${reason}`);
  }

  #lookForRefusal({ name, refusal }: DamageSource): void {
    const reason = refusal();
    if (reason === (this.#refusalLogged.get(name) ?? '')) return;
    this.#refusalLogged.set(name, reason);
    if (reason === '') this.#log.info({ volume: name }, `volume "${name}" takes writes again`);
    else this.#log.warn({ volume: name, reason }, `volume "${name}" refuses writes: ${reason}`);
  }
}

function keyOf({ kind, file, fileOffsetBytes }: Damage): string {
  return `${kind} ${file} ${fileOffsetBytes}`;
}
