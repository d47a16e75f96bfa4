/** What a volume must hold after a power cut at a given entry of the disk's log. */
import { BLOCK_BYTES, versionOf } from '../../e2e/support/versioned-block.ts';

/** One block's past, in the order of its writes. */
interface BlockPast {
  /** Every version asked for; a discard is version 0 at its place. */
  readonly asked: number[];
  /** Places in `asked` that were durable at an entry. */
  readonly durable: { readonly entry: number; readonly place: number }[];
}

/** The promises of one volume: noted by its writer, asked for by the checker. */
export class ExpectedVolume {
  readonly name: string;
  readonly blocks: number;
  /** The volume must exist from this entry on. */
  createdAt = Number.POSITIVE_INFINITY;
  /** Its deletion was asked for: from here on it may be gone, */
  deletingAt = Number.POSITIVE_INFINITY;
  /** and from here on it must be. */
  deletedAt = Number.POSITIVE_INFINITY;
  readonly #past = new Map<number, BlockPast>();
  #undurable = new Set<number>();
  #nextVersion = 1;

  constructor(name: string, blocks: number) {
    this.name = name;
    this.blocks = blocks;
  }

  nextVersion(): number {
    return this.#nextVersion++;
  }

  /** Before a write begins; version 0: a discard. */
  asked(block: number, version: number): void {
    const past = this.#past.get(block) ?? { asked: [0], durable: [] };
    this.#past.set(block, past);
    past.asked.push(version);
    this.#undurable.add(block);
  }

  /** A flush begins: returns what is to be called when it was acknowledged, with the log's entries then. */
  flushing(): (entry: number) => void {
    const places = [...this.#undurable].flatMap((block) => {
      const past = this.#past.get(block);
      return past === undefined ? [] : [{ past, place: past.asked.length - 1 }];
    });
    this.#undurable = new Set();
    return (entry) => {
      for (const { past, place } of places) past.durable.push({ entry, place });
    };
  }

  /** How many blocks carry a promise at this entry. */
  promised(entry: number): number {
    return [...this.#past.values()].filter((past) => placeAt(past, entry) > 0).length;
  }

  /** @throws Error naming the first block that holds what it must not. */
  check(entry: number, content: Buffer): void {
    for (let block = 0; block < this.blocks; block += 1) {
      const found = versionOf(block, content.subarray(block * BLOCK_BYTES, (block + 1) * BLOCK_BYTES));
      const past = this.#past.get(block);
      const place = past === undefined ? 0 : placeAt(past, entry);
      if ((past?.asked ?? [0]).includes(found, place)) continue;
      const wanted = past?.asked[place] ?? 0;
      throw new Error(`volume ${this.name}, block ${block}: version ${found}, not ${wanted} or a later one`);
    }
  }
}

function placeAt({ durable }: BlockPast, entry: number): number {
  return durable.reduce((place, one) => (one.entry <= entry ? Math.max(place, one.place) : place), 0);
}
