/** Random sequences of messages of the extended query protocol, valid and not, with Queries between them. */
import fc from 'fast-check';
import { bind, close, describe, execute, flush, parse, query, sync } from '../support/frontend-messages.ts';

/** One message, as it is shown where it matters. */
export interface Message {
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

/** What one client sends; of each part the last message, and no other, is answered with ReadyForQuery. */
export const session: fc.Arbitrary<readonly (readonly Message[])[]> = fc.array(
  fc.oneof({ weight: 3, arbitrary: segment }, { weight: 2, arbitrary: simple }),
  {
    minLength: 1,
    maxLength: 8,
  },
);
