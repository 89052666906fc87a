/** Durations as PostgreSQL writes them in `postgresql.conf` (manual, "Parameter Names and Values"). */

const millisecondsOf = { us: 0.001, ms: 1, s: 1_000, min: 60_000, h: 3_600_000, d: 86_400_000 } as const;

type Unit = keyof typeof millisecondsOf;

export const durationUnits: readonly string[] = Object.keys(millisecondsOf);

/** Whole milliseconds, or undefined where `text` is not a duration. A bare number is milliseconds; units are case-sensitive. */
export function parseDuration(text: string): number | undefined {
  const parts = /^(-?\d+(?:\.\d+)?)\s*(us|ms|s|min|h|d)?$/.exec(text.trim());
  if (parts === null) return undefined;
  const [, amount, unit = 'ms'] = parts;
  return Math.round(Number(amount) * millisecondsOf[unit as Unit]);
}

/** The shortest spelling that `parseDuration` reads back: 90000 is `90s`, 3600000 is `1h`. */
export function formatDuration(ms: number): string {
  const units: readonly Unit[] = ['d', 'h', 'min', 's'];
  const unit = ms === 0 ? 'ms' : (units.find((candidate) => ms % millisecondsOf[candidate] === 0) ?? 'ms');
  return `${ms / millisecondsOf[unit]}${unit}`;
}
