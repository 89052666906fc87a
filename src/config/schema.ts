/** The variables that stand for one value each, read by the zod schema that `config/settings` amounts to. */
import { z } from 'zod';
import type { Environment } from './dsn.ts';
import { formatDuration } from './duration.ts';
import type { Problem } from './problem.ts';
import { dataDir, logLevel, settings } from './settings.ts';

const rows = { logLevel, dataDir, ...settings };

type Rows = typeof rows;

export type Fields = { readonly [K in keyof Rows]: z.output<Rows[K]['schema']> };

export type FieldsResult =
  | { readonly kind: 'fields'; readonly fields: Fields }
  | { readonly kind: 'invalid'; readonly problems: readonly Problem[] };

const schema = z.object(
  Object.fromEntries(Object.entries(rows).map(([name, row]) => [name, row.schema])) as {
    [K in keyof Rows]: Rows[K]['schema'];
  },
);

/** `given` has no blank variables. */
export function readFields(given: Environment): FieldsResult {
  const texts = Object.entries(rows).map(([name, row]) => [name, given[row.variable]?.trim()]);
  const result = schema.safeParse(Object.fromEntries(texts));
  if (!result.success) return { kind: 'invalid', problems: result.error.issues.map(problemOf) };
  const fields = result.data;
  if (fields.followerTimeoutMs > fields.followerLockTimeoutMs) return { kind: 'fields', fields };
  const { followerTimeoutMs, followerLockTimeoutMs } = settings;
  const limit = `${followerLockTimeoutMs.variable} (${formatDuration(fields.followerLockTimeoutMs)})`;
  const message = `must be longer than ${limit}: a follower that waits for a lock is not dead`;
  return { kind: 'invalid', problems: [{ variable: followerTimeoutMs.variable, message }] };
}

const variableOf = new Map<PropertyKey, string>(Object.entries(rows).map(([name, row]) => [name, row.variable]));

/** The schemas of `config/field` make custom issues only, whose messages hold no value. */
function problemOf(issue: z.core.$ZodIssue): Problem {
  const variable = variableOf.get(issue.path[0] ?? '') ?? 'environment';
  const hint: unknown = issue.code === 'custom' ? issue.params?.['hint'] : undefined;
  return { variable, message: issue.message, ...(typeof hint === 'string' ? { hint } : {}) };
}
