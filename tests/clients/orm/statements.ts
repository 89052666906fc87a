/** The statements that an ORM sends: collected by its own log, and what followers get for each. */
import pg from 'pg';

/** A statement as the ORM has logged it. */
export interface Statement {
  readonly text: string;
  readonly values: readonly unknown[];
}

/** One shape of statement, how often it was sent, and its replay plan. */
export interface Planned {
  readonly shape: string;
  readonly times: number;
  readonly plan: string;
  readonly reason: string;
}

/** The plan of every shape of statement that changes rows, most frequent first; `client` is connected to the proxy, where the tables are. */
export async function plansOf(client: pg.Client, statements: readonly Statement[]): Promise<readonly Planned[]> {
  const shapes = new Map<string, { times: number; readonly first: Statement }>();
  for (const statement of statements) {
    if (!/^\s*(insert|update|delete|with|merge)\b/i.test(statement.text)) continue;
    const shape = shapeOf(statement.text);
    const known = shapes.get(shape);
    if (known === undefined) shapes.set(shape, { times: 1, first: statement });
    else known.times += 1;
  }
  const planned: Planned[] = [];
  for (const [shape, { times, first }] of shapes) {
    const { rows } = await client.query<{ 'QUERY PLAN': string }>(`EXPLAIN (PPROX) ${withConstants(first)}`);
    const lines = rows.map((row) => row['QUERY PLAN']).join('\n');
    const [, plan, reason] = /^ *Plan: (.*)\n *Reason: (.*)$/m.exec(lines) ?? [];
    planned.push({ shape, times, plan: plan ?? 'none', reason: reason ?? lines });
  }
  return planned.toSorted((a, b) => b.times - a.times);
}

/** How many statements of how many shapes got which plan. */
export function summaryOf(planned: readonly Planned[]): string {
  const parts = [...new Set(planned.map(({ plan }) => plan))].map((plan) => {
    const shapes = planned.filter((shape) => shape.plan === plan);
    return `${plan}: ${shapes.reduce((sum, { times }) => sum + times, 0)} statements of ${shapes.length} shapes`;
  });
  return parts.join('; ');
}

/** White space is one space, lists of parameters and of rows are one of each. */
function shapeOf(text: string): string {
  return text
    .replace(/\s+/g, ' ')
    .replace(/\$\d+/g, '?')
    .replace(/\((?:\?|default)(?:, ?(?:\?|default))+\)/gi, '(…)')
    .replace(/\(…\)(?:, ?\(…\))+/g, '(…), …')
    .trim();
}

/** EXPLAIN takes no parameters: each value as a literal. */
function withConstants({ text, values }: Statement): string {
  return text.replace(/\$(\d+)/g, (_, number: string) => literal(values[Number(number) - 1]));
}

function literal(value: unknown): string {
  if (value === null || value === undefined) return 'NULL';
  if (typeof value === 'number' || typeof value === 'bigint') return String(value);
  if (typeof value === 'string') return pg.escapeLiteral(value);
  if (value instanceof Date) return pg.escapeLiteral(value.toISOString());
  if (Array.isArray(value)) return `ARRAY[${value.map(literal).join(', ')}]`;
  return pg.escapeLiteral(JSON.stringify(value));
}

/** Of the errors, those after which a transaction may be tried again: 40001 and 40P01. */
function isWorthAnotherTry(error: unknown): boolean {
  const code = codeOf(error);
  return code === '40001' || code === '40P01';
}

/** The SQLSTATE of what a driver has thrown, or of what an ORM has wrapped it in. */
function codeOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  if ('code' in error && typeof error.code === 'string') return error.code;
  return codeOf('driverError' in error ? error.driverError : error.cause);
}

/** As an application does it: a transaction that could not be serialized or met a deadlock is run again, twenty times at most. */
export async function retrying<T>(transaction: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await transaction();
    } catch (error) {
      if (tries === 20 || !isWorthAnotherTry(error)) throw error;
    }
  }
}

/** What `work` fails with: its SQLSTATE and, where a constraint is named, that. */
export async function failure(work: Promise<unknown>): Promise<readonly (string | undefined)[]> {
  try {
    await work;
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const source = 'driverError' in error ? error.driverError : (error.cause ?? error);
    return source instanceof pg.DatabaseError ? [source.code, source.constraint] : [error.constructor.name];
  }
  return ['none'];
}

/** Eight workers at once, each told its number from 1. */
export async function eightWorkers(work: (worker: number) => Promise<void>): Promise<void> {
  await Promise.all(Array.from({ length: 8 }, (_, index) => work(index + 1)));
}
