/**
 * Random sequences of extended query messages, valid and not, on bare PostgreSQL and through pprox: the same answers, and
 * the same rows in the end. The sequences are the same each time; `PPROX_TEST_SEED` takes others, `PPROX_TEST_RUNS` more.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import type { BackendMessage } from '../support/backend-messages.ts';
import { bind, close, describe, execute, flush, parse, query, sync } from '../support/frontend-messages.ts';
import { RawClient, type Target } from '../support/raw-client.ts';
import { type Arena, openArena } from '../support/targets.ts';
import { compareWriters } from './equality.ts';

const DATABASE = 'battery_random';
const RUNS = Number(process.env['PPROX_TEST_RUNS'] ?? 40);
/** Differences that a failure shows. */
const SHOWN = 5;
const SEED = Number(process.env['PPROX_TEST_SEED'] ?? 5);

/** One message, as it is shown where it matters. */
interface Message {
  readonly shown: string;
  readonly bytes: Buffer;
}

const texts = [
  'SELECT 1',
  'SELECT $1::int + 1',
  'SELECT id, v FROM r ORDER BY id',
  'SELECT v FROM r WHERE id = $1',
  'INSERT INTO r VALUES ($1, $2)',
  "INSERT INTO r VALUES (7, 'seven') RETURNING id",
  "UPDATE r SET v = v || '+' WHERE id < 3 RETURNING id, v",
  'DELETE FROM r WHERE id = $1',
  'INSERT INTO s (v) VALUES ($1) RETURNING id',
  'SELECT n FROM generate_series(1, 5) n',
  'SELECT 1 / 0',
  'SELEC',
  'SELECT nothing',
  '',
  'BEGIN',
  'COMMIT',
  'ROLLBACK',
  'SHOW work_mem',
  'DEALLOCATE ALL',
  'DEALLOCATE a',
] as const;

/** Statements of SQL's, under the names that Parse gives as well. */
const prepares = [
  'PREPARE a AS SELECT $1::int + 1',
  'PREPARE a (int) AS SELECT v FROM r WHERE id = $1',
  'PREPARE b (text) AS INSERT INTO s (v) VALUES ($1) RETURNING id',
  'PREPARE b AS INSERT INTO s (v) VALUES ($1)',
  'PREPARE b (int, text) AS INSERT INTO r VALUES ($1, $2)',
  'PREPARE a (text) AS UPDATE r SET v = v || $1 WHERE id < 3 RETURNING id, v',
  'PREPARE b (int) AS DELETE FROM r WHERE id = $1',
  'PREPARE a AS SELECT n FROM generate_series(1, $1::int) n',
  'PREPARE a AS SELECT nothing',
  'PREPARE a AS SELEC',
] as const;
const executes = [
  'EXECUTE a',
  'EXECUTE a (1)',
  'EXECUTE a (2 + 3)',
  "EXECUTE a ('3')",
  'EXECUTE b (2)',
  "EXECUTE b (8, 'e' || 'ight')",
  'EXECUTE b (NULL)',
  "EXECUTE a ('x')",
  'EXECUTE a (1 / 0)',
  'EXECUTE a (nothing)',
  'EXECUTE b ((SELECT 1))',
  'EXECUTE b ($1)',
  'EXECUTE c',
  'EXPLAIN (COSTS OFF) EXECUTE a (4)',
  'EXPLAIN (COSTS OFF) EXECUTE b (4)',
  'DEALLOCATE b',
] as const;

const text: fc.Arbitrary<string> = fc.oneof(
  { weight: 5, arbitrary: fc.constantFrom(...texts) },
  { weight: 1, arbitrary: fc.constantFrom(...prepares) },
  { weight: 2, arbitrary: fc.constantFrom(...executes) },
);

const statements = fc.constantFrom('', '', 'a', 'b');
/** Of single messages: the unnamed statement is used where it is made. */
const named = fc.constantFrom('a', 'a', 'b', 'b', 'u');
const portals = fc.constantFrom('', '', '', 'p');
const values = fc.array(fc.constantFrom('1', '2', '3', 'x', null), { maxLength: 2 });

const show = (...parts: readonly unknown[]): string => parts.map((part) => JSON.stringify(part)).join(' ');

const message: fc.Arbitrary<Message> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.tuple(statements, text).map(([name, sql]) => parsed(name, sql)),
  },
  {
    weight: 5,
    arbitrary: fc
      .tuple(portals, named, values)
      .map(([portal, name, list]) => made('Bind', bind(portal, name, { values: list }), portal, name, list)),
  },
  {
    weight: 6,
    arbitrary: fc
      .tuple(portals, fc.constantFrom(0, 0, 0, 1, 2))
      .map(([portal, limit]) => made('Execute', execute(portal, limit), portal, limit)),
  },
  { weight: 1, arbitrary: named.map((name) => made('Describe', describe('S', name), 'S', name)) },
  { weight: 2, arbitrary: portals.map((name) => made('Describe', describe('P', name), 'P', name)) },
  { weight: 1, arbitrary: statements.map((name) => made('Close', close('S', name), 'S', name)) },
  { weight: 1, arbitrary: portals.map((name) => made('Close', close('P', name), 'P', name)) },
  { weight: 1, arbitrary: fc.constant(made('Flush', flush())) },
);

function made(name: string, bytes: Buffer, ...parts: readonly unknown[]): Message {
  return { shown: `${name} ${show(...parts)}`, bytes };
}

/** What is no query has a name that no EXECUTE names: PostgreSQL would run it, even where it is that EXECUTE. */
function nameOf(name: string, text: string): string {
  return name === '' || /^(SELEC|INSERT|UPDATE|DELETE)/.test(text) ? name : 'u';
}

function parsed(name: string, text: string): Message {
  return made('Parse', parse(nameOf(name, text), text), nameOf(name, text), text);
}

/** A whole statement, as drivers send it. */
const whole: fc.Arbitrary<readonly Message[]> = fc
  .tuple(statements, portals, text, fc.constantFrom(0, 0, 2))
  .map(([name, portal, sql, limit]) => {
    const list = Array.from({ length: parametersOf(sql) }, (_, at) => String(at + 1));
    const given = nameOf(name, sql);
    return [
      parsed(name, sql),
      made('Bind', bind(portal, given, { values: list }), portal, given, list),
      made('Execute', execute(portal, limit), portal, limit),
    ];
  });

function parametersOf(text: string): number {
  // A utility statement has none of its own.
  if (/^(PREPARE|EXECUTE)/.test(text)) return 0;
  return text.includes('$2') ? 2 : text.includes('$1') ? 1 : 0;
}

const segment: fc.Arbitrary<readonly Message[]> = fc
  .array(
    fc.oneof(
      message.map((one) => [one]),
      whole,
    ),
    { minLength: 1, maxLength: 6 },
  )
  .map((parts) => [...parts.flat(), made('Sync', sync())]);

const simple: fc.Arbitrary<readonly Message[]> = fc
  .oneof(
    fc.constantFrom(
      'BEGIN',
      'COMMIT',
      'ROLLBACK',
      'SELECT count(*) FROM r',
      "INSERT INTO r VALUES (9, 'nine')",
      'DEALLOCATE ALL',
    ),
    fc.constantFrom(...prepares),
    fc.constantFrom(...executes),
    fc
      .array(fc.constantFrom(...prepares, ...executes, 'DEALLOCATE a', 'BEGIN', 'COMMIT', 'SELECT 1'), {
        minLength: 2,
        maxLength: 3,
      })
      .map((parts) => parts.join('; ')),
  )
  .map((sql) => [made('Query', query(sql), sql)]);

const session = fc.array(fc.oneof({ weight: 3, arbitrary: segment }, { weight: 2, arbitrary: simple }), {
  minLength: 1,
  maxLength: 8,
});

/** What a client goes by; where in PostgreSQL's source an error comes from is not. */
function essence(one: BackendMessage): string {
  switch (one.type) {
    case 'ErrorResponse':
    case 'NoticeResponse': {
      const fields = new Map(one.fields);
      // What is wrong with a message may be said with other names of its statement.
      return `${one.type} ${fields.get('C')} ${fields.get('C') === '08P01' ? '' : fields.get('M')}`;
    }
    case 'DataRow':
      return `DataRow ${one.values.map(String).join(', ')}`;
    case 'RowDescription':
      return `RowDescription ${one.fields.map(({ name }) => name).join(', ')}`;
    case 'CommandComplete':
      return `CommandComplete ${one.tag}`;
    case 'ReadyForQuery':
      return `ReadyForQuery ${one.status}`;
    default:
      return one.type;
  }
}

async function play(target: Target, parts: readonly (readonly Message[])[]): Promise<string[]> {
  const client = await RawClient.start(target);
  try {
    await client.query('DROP TABLE IF EXISTS r, s');
    await client.query(
      "CREATE TABLE r (id int PRIMARY KEY, v text); INSERT INTO r VALUES (1, 'one'), (2, 'two'); CREATE TABLE s (id serial PRIMARY KEY, v text)",
    );
    const seen: string[] = [];
    for (const part of parts) {
      const from = client.messages.length;
      const { readies } = client;
      client.send(...part.map(({ bytes }) => bytes));
      await client.waitReady(readies + 1);
      seen.push(...part.map(({ shown }) => `> ${shown}`), ...client.messages.slice(from).map(essence));
    }
    await client.query('ROLLBACK');
    seen.push(...(await client.query('SELECT * FROM r ORDER BY id')).map(essence));
    seen.push(...(await client.query('SELECT v FROM s ORDER BY id')).map(essence));
    return seen;
  } finally {
    client.destroy();
  }
}

/** What stands around the first difference; undefined where there is none. */
function difference(actual: readonly string[], expected: readonly string[], where: string): string | undefined {
  const at = expected.findIndex((line, index) => actual[index] !== line);
  if (at < 0 && actual.length === expected.length) return undefined;
  const from = expected.slice(0, at).findLastIndex((line) => /^> (Sync|Query)/.test(line));
  const start = expected.slice(0, from).findLastIndex((line) => line.startsWith('ReadyForQuery')) + 1;
  const text = (lines: readonly string[]): string => lines.slice(start, at + 3).join('\n  ');
  return `${where}\nPostgreSQL:\n  ${text(expected)}\nsubject:\n  ${text(actual)}`;
}

let arena: Arena | undefined;
before(async () => {
  arena = await openArena();
});
after(() => arena?.stop());

test('random messages of the extended query protocol are answered as PostgreSQL answers them', async () => {
  assert.ok(arena, 'the servers run');
  const { bare, subject, user, writers } = arena;
  await arena.prepareBare(DATABASE);
  const expected = new Map<string, string[]>();
  const runs: (readonly (readonly Message[])[])[] = [];
  const sampled = fc.sample(session, { numRuns: RUNS, seed: SEED });
  for (const parts of sampled) {
    runs.push(parts);
    expected.set(String(runs.length), await play({ ...bare, user, database: DATABASE }, parts));
  }
  await arena.prepareSubject(DATABASE);
  const found: string[] = [];
  for (const [at, parts] of runs.entries()) {
    const actual = await play({ ...subject, user, database: DATABASE }, parts);
    const one = difference(actual, expected.get(String(at + 1)) ?? [], `run ${at + 1}`);
    if (one !== undefined) found.push(one);
  }
  assert.equal(found.length, 0, found.slice(0, SHOWN).join('\n\n'));
  assert.deepEqual(await compareWriters(writers, DATABASE), []);
});
