const UNIT_MS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };

/** Reads `7d`, `12h`, `30m`, `45s`, `2w`. @throws RangeError with a sentence for the user */
export function parseDuration(text: string): number {
  const match = /^\s*(\d+(?:\.\d+)?)\s*([smhdw])\s*$/i.exec(text);
  const unitMs = UNIT_MS[match?.[2]?.toLowerCase() ?? ''];
  const ms = Math.round(Number(match?.[1]) * (unitMs ?? Number.NaN));
  if (!Number.isSafeInteger(ms) || ms <= 0) {
    throw new RangeError(`"${text}" is not a time: give a number with s, m, h, d or w, such as 7d`);
  }
  return ms;
}
