/** An integer from 0 to below `bound`. */
export type Random = (bound: number) => number;

/** xorshift32: the same numbers again for the same seed. */
export function seededRandom(seed: number): Random {
  let state = (seed ^ 0x9e3779b9) >>> 0;
  if (state === 0) state = 1;
  return (bound) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state % bound;
  };
}
