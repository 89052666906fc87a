/** What a variable of the environment is: its name, type, default and bounds in one value, and the zod schema made from them. */
import { z } from 'zod';
import { durationUnits, formatDuration, parseDuration } from './duration.ts';
import type { Mistake } from './problem.ts';

export interface Variable {
  readonly variable: string;
  readonly type: string;
  /** As it would be written in the environment; undefined: not set. */
  readonly default: string | undefined;
  /** What is accepted, for people. */
  readonly accepts: string;
  /** One sentence or two, with the reason for the default. */
  readonly doc: string;
  /** Whether a running process could take a new value without dropping a client. */
  readonly reloadable: boolean;
}

/** A variable that stands for one value by itself. `schema` reads the text of the variable, undefined where it is not set. */
export interface Field<T> extends Variable {
  readonly schema: z.ZodType<T, string | undefined>;
}

type Described = Pick<Variable, 'variable' | 'doc' | 'reloadable'>;
type Read<T> = { readonly kind: 'value'; readonly value: T } | ({ readonly kind: 'invalid' } & Mistake);

function reads<T>(read: (text: string) => Read<T>): z.ZodType<T, string> {
  return z.string().transform((text, context) => {
    const result = read(text);
    if (result.kind === 'value') return result.value;
    context.addIssue({ code: 'custom', message: result.message, params: { hint: result.hint } });
    return z.NEVER;
  });
}

type Range = { readonly default: number; readonly min: number; readonly max: number };

/** Milliseconds; `default`, `min` and `max` too. */
export function duration(row: Described & Range): Field<number> {
  const bounds = `${formatDuration(row.min)} to ${formatDuration(row.max)}`;
  const read = (text: string): Read<number> => {
    const value = parseDuration(text);
    if (value === undefined) {
      const hint = `Write a number with one of the units ${durationUnits.join(', ')}; without a unit it is milliseconds.`;
      return { kind: 'invalid', message: 'is not a duration', hint };
    }
    if (value < row.min || value > row.max) return { kind: 'invalid', message: `must be ${bounds}` };
    return { kind: 'value', value };
  };
  const text = formatDuration(row.default);
  return { ...row, type: 'duration', default: text, accepts: bounds, schema: reads(read).prefault(text) };
}

/** A whole number of something. */
export function count(row: Described & Range): Field<number> {
  const bounds = `${row.min} to ${row.max}`;
  const read = (text: string): Read<number> => {
    if (!/^\d{1,15}$/.test(text)) return { kind: 'invalid', message: 'is not a whole number' };
    const value = Number(text);
    if (value < row.min || value > row.max) return { kind: 'invalid', message: `must be ${bounds}` };
    return { kind: 'value', value };
  };
  return {
    ...row,
    type: 'number',
    default: `${row.default}`,
    accepts: bounds,
    schema: reads(read).prefault(`${row.default}`),
  };
}

/** One word of a list. `refused`: words that one may expect, and why they are none. */
export function choice<const T extends string>(
  row: Described & { default: NoInfer<T>; choices: readonly T[]; refused?: Readonly<Record<string, string>> },
): Field<T> {
  const accepts = row.choices.join(', ');
  const refused = new Map(Object.entries(row.refused ?? {}));
  const read = (text: string): Read<T> => {
    const value = row.choices.find((candidate) => candidate === text);
    if (value !== undefined) return { kind: 'value', value };
    const why = refused.get(text);
    return { kind: 'invalid', message: why === undefined ? `must be one of ${accepts}` : `cannot be ${text}: ${why}` };
  };
  return { ...row, type: 'word', accepts, schema: reads(read).prefault(row.default) };
}

/** A path of the file system, absolute or from the working folder; undefined where it is not set. */
export function folder(row: Described): Field<string | undefined> {
  return { ...row, type: 'folder', default: undefined, accepts: 'a path', schema: z.string().optional() };
}
