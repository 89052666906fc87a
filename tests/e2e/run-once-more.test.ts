/**
 * What fails alone for another transaction's doing is run once more: a trigger is made while it waits for its table, so that the first run is
 * rolled back on every writer. The client is told what it is told where nobody was in its way, once.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import pg from 'pg';
import { sql } from '../support/cluster.ts';
import type { BackendMessage } from '../support/backend-messages.ts';
import {
  bind,
  close,
  describe as describing,
  execute,
  flush,
  parse,
  query,
  sync,
} from '../support/frontend-messages.ts';
import type { RawClient } from '../support/raw-client.ts';
import { assertWritersEqual, connectRaw, errorIn, startScene, until } from './scene.ts';

const scene = await startScene({}, { reader: false });
const { cluster, proxy } = scene;
const { w1 } = cluster;
/** The number of type text. */
const TEXT = 25;
const HANGS = { timeout: 60_000 };
/** As `RUNS` in src/session/runs.ts. */
const RUNS = 4;
let client: pg.Client;
let other: pg.Client;

before(async () => {
  [client, other] = [await proxy.connect(), await proxy.connect()];
  await client.query(`
    CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.note := TG_NAME; RETURN NEW; END';
    CREATE FUNCTION locking(i int) RETURNS int LANGUAGE plpgsql AS 'BEGIN PERFORM pg_advisory_lock(i); RETURN i; END';
    CREATE FUNCTION plain(i int) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN i + 1; END';
    CREATE TABLE numbered (id serial PRIMARY KEY);
    CREATE SEQUENCE drawn; CREATE TABLE places (id int PRIMARY KEY, n bigint);
    CREATE TABLE bare (id int PRIMARY KEY, n int, note text);
    CREATE TABLE aside (id int PRIMARY KEY, n int)`);
  await reset();
});

async function reset(): Promise<void> {
  await other.query(`DROP TRIGGER IF EXISTS a ON bare; TRUNCATE bare, aside;
    INSERT INTO bare SELECT g, 0 FROM generate_series(1, 20) g; INSERT INTO aside SELECT g, 0 FROM generate_series(1, 20) g`);
}

/** What tells where a sequence stands for a session. */
const TELLING = `CREATE FUNCTION perhaps() RETURNS bigint LANGUAGE plpgsql AS
    'BEGIN RETURN lastval(); EXCEPTION WHEN object_not_in_prerequisite_state THEN RETURN -1; END';
  ALTER TABLE places ALTER n SET DEFAULT currval('drawn')`;

const NOTHING_TELLS = 'DROP FUNCTION perhaps(); ALTER TABLE places ALTER n DROP DEFAULT';

const TRIGGER = 'CREATE TRIGGER a BEFORE INSERT OR UPDATE ON bare FOR EACH ROW EXECUTE FUNCTION note()';

async function waiting(count: number): Promise<void> {
  await until(`${count} wait for a lock on the lead`, async () => {
    const [row] = await sql(w1, 'SELECT count(*)::int AS n FROM pg_locks WHERE NOT granted');
    return row?.['n'] === count;
  });
}

/** Up to the next ReadyForQuery. */
async function answer(raw: RawClient, ...messages: readonly Buffer[]): Promise<readonly BackendMessage[]> {
  const from = raw.messages.length;
  raw.send(...messages);
  await raw.waitReady(raw.readies + 1);
  return raw.messages.slice(from);
}

/** The answer of what waits while the trigger is made. */
async function inTheWay(raw: RawClient, ...messages: readonly Buffer[]): Promise<readonly BackendMessage[]> {
  await other.query(`BEGIN; ${TRIGGER}`);
  const told = answer(raw, ...messages);
  await waiting(1);
  await other.query('COMMIT');
  return told;
}

function timesRunAgain(): number {
  return proxy.lines.filter(({ event }) => event === 'run once more').length;
}

async function numbers(): Promise<readonly unknown[]> {
  const text = 'SELECT n, note, (SELECT n FROM aside WHERE id = 1) AS aside FROM bare WHERE id = 1';
  const [row] = await sql(w1, text);
  return Object.values(row ?? {});
}

const UPDATE = 'UPDATE bare SET n = n + 1 WHERE id = 1 RETURNING id, n, note';
const ASIDE = 'UPDATE aside SET n = n + 1 WHERE id = 1 RETURNING n';
const KEYED = 'UPDATE bare SET n = n + $2 WHERE id = $1 RETURNING id, n, note';
const bound = { values: ['1', '1'] };

describe('is run once more, and answered once', () => {
  const cases: Readonly<Record<string, { readonly sent: readonly Buffer[]; readonly aside: number }>> = {
    'a statement': { sent: [query(UPDATE)], aside: 0 },
    'several statements': { sent: [query(`${ASIDE}; SELECT n FROM aside WHERE id = 1; ${UPDATE}`)], aside: 1 },
    'what is drawn for the first time': {
      sent: [query(`UPDATE aside SET n = perhaps() WHERE id = 1; INSERT INTO numbered DEFAULT VALUES; ${UPDATE}`)],
      aside: -1,
    },
    'a function': { sent: [query(UPDATE.replace('n + 1', 'plain(n)'))], aside: 0 },
    'a transaction in one text': {
      sent: [query(`BEGIN; SET LOCAL lock_timeout = '30s'; ${ASIDE}; SAVEPOINT s; ${ASIDE}; ${UPDATE}; COMMIT`)],
      aside: 2,
    },
    'locks of the transaction': { sent: [query(`SELECT pg_advisory_xact_lock(7); ${UPDATE}`)], aside: 0 },
    'settings of the session': {
      sent: [query(`SET application_name = 'again'; ${UPDATE}; SHOW application_name`)],
      aside: 0,
    },
    'a statement with parameters': {
      sent: [parse('', KEYED), bind('', '', bound), describing('P', ''), execute(''), sync()],
      aside: 0,
    },
    'a statement with a name, and rows that are counted': {
      sent: [parse('named', KEYED), describing('S', 'named'), bind('p', 'named', bound), execute('p', 5), sync()],
      aside: 0,
    },
  };
  before(() => other.query(TELLING));
  after(() => other.query(NOTHING_TELLS));
  for (const [what, { sent, aside }] of Object.entries(cases))
    test(what, HANGS, async () => {
      await reset();
      const [raw, unhindered] = [await connectRaw(scene), await connectRaw(scene)];
      const before = timesRunAgain();
      const told = await inTheWay(raw, ...sent);
      assert.equal(timesRunAgain() - before, 1, 'it has failed, and was run once more');
      assert.deepEqual(await numbers(), [1, 'a', aside]);
      await assertWritersEqual(cluster);
      await client.query('UPDATE bare SET n = 0; UPDATE aside SET n = 0; TRUNCATE numbered');
      assert.deepEqual(told, await answer(unhindered, ...sent));
      assert.deepEqual(await answer(raw, query(UPDATE)), await answer(unhindered, query(UPDATE.replace('n + 1', 'n'))));
      raw.destroy();
      unhindered.destroy();
    });
});

test('a function is run once more in a session that has drawn before, where nothing tells what', HANGS, async () => {
  await reset();
  const raw = await connectRaw(scene);
  await answer(raw, query(`SELECT nextval('drawn')`));
  const told = await inTheWay(raw, query(UPDATE.replace('n + 1', 'plain(n)')));
  assert.ok(!told.some(({ type }) => type === 'ErrorResponse'));
  assert.deepEqual(await numbers(), [1, 'a', 0]);
  await assertWritersEqual(cluster);
});

describe('and is not run once more where something tells', () => {
  const told = `CREATE FUNCTION tells() RETURNS bigint LANGUAGE`;
  const cases: Readonly<Record<string, readonly [made: string, dropped: string]>> = {
    'a function': [`${told} sql STABLE AS 'SELECT currval(''drawn'')'`, 'DROP FUNCTION tells()'],
    'a body of standard SQL': [`${told} sql BEGIN ATOMIC SELECT lastval(); END`, 'DROP FUNCTION tells()'],
    'a function of PostgreSQL by another name': [
      "CREATE FUNCTION tells(regclass) RETURNS bigint LANGUAGE internal AS 'currval_oid'",
      'DROP FUNCTION tells(regclass)',
    ],
    'the default of an argument': [
      `CREATE FUNCTION tells(i bigint DEFAULT lastval()) RETURNS bigint LANGUAGE sql AS 'SELECT i'`,
      'DROP FUNCTION tells(bigint)',
    ],
    'the default of a column': [
      `ALTER TABLE places ALTER n SET DEFAULT currval('drawn')`,
      'ALTER TABLE places ALTER n DROP DEFAULT',
    ],
    'the default of a domain': ['CREATE DOMAIN tells AS bigint DEFAULT lastval()', 'DROP DOMAIN tells'],
    'a view': ['CREATE VIEW tells AS SELECT lastval()', 'DROP VIEW tells'],
    'a policy': ['CREATE POLICY tells ON places USING (n = lastval())', 'DROP POLICY tells ON places'],
    'the condition of a trigger': [
      `CREATE TRIGGER tells BEFORE INSERT ON places FOR EACH ROW WHEN (NEW.n = lastval()) EXECUTE FUNCTION note()`,
      'DROP TRIGGER tells ON places',
    ],
  };
  for (const [what, [made, dropped]] of Object.entries(cases))
    test(what, HANGS, async () => {
      await reset();
      await other.query(made);
      const raw = await connectRaw(scene);
      await answer(raw, query(`SELECT nextval('drawn')`));
      const [error] = [await inTheWay(raw, query(UPDATE.replace('n + 1', 'plain(n)')))].map(errorIn);
      assert.equal(error?.['C'], '40001');
      await other.query(dropped);
      raw.destroy();
    });
});

describe('is not run once more, and told', () => {
  before(() => other.query(TELLING));
  const cases: Readonly<
    Record<string, { readonly sent: readonly Buffer[]; readonly aside?: number; readonly first?: string }>
  > = {
    'in a block that was begun before': { first: 'BEGIN', sent: [query(UPDATE)] },
    'behind a COMMIT': { sent: [query(`BEGIN; ${ASIDE}; COMMIT; ${UPDATE}`)], aside: 1 },
    'behind a pipeline': {
      sent: [parse('', ASIDE), bind('', ''), execute(''), parse('', KEYED), bind('', '', bound), execute(''), sync()],
    },
    'behind what was to be flushed': {
      sent: [parse('named', ASIDE), flush(), parse('', KEYED), bind('', '', bound), execute(''), sync()],
    },
    'behind more than is kept': { sent: [query(`SELECT repeat('x', 9000); ${UPDATE}`)] },
    'behind a notice': { sent: [query(`DROP TABLE IF EXISTS nothing_here; ${UPDATE}`)] },
    'behind a lock of the session': { sent: [query(`SELECT pg_advisory_lock(7); ${UPDATE}`)] },
    'beside a function that locks for the session': { sent: [query(UPDATE.replace('n + 1', 'locking(n)'))] },
    'a place of a sequence that was drawn from before': {
      first: `SELECT nextval('drawn')`,
      sent: [query(`SELECT currval('drawn'), nextval('drawn'); ${UPDATE}`)],
    },
    'a default that tells such a place': {
      first: `SELECT nextval('drawn')`,
      sent: [query(`INSERT INTO places (id) VALUES (1); INSERT INTO numbered DEFAULT VALUES; ${UPDATE}`)],
    },
    'a function that may have drawn': {
      first: `SELECT nextval('drawn')`,
      sent: [query(UPDATE.replace('n + 1', 'plain(n)'))],
    },
    'random values that are to come in their order': {
      first: 'SELECT setseed(0.5)',
      sent: [query(`INSERT INTO aside VALUES (100, (random() * 1000)::int); ${UPDATE}`)],
    },
    'a sequence that is set': { sent: [query(`SELECT setval('drawn', 100); ${UPDATE}`)] },
    'what moves a cursor that is held': {
      first: 'DECLARE c CURSOR WITH HOLD FOR SELECT g FROM generate_series(1, 20) g',
      sent: [query(`FETCH 3 FROM c; ${UPDATE}`)],
    },
    'what acts on the server': { sent: [query(`SELECT pg_cancel_backend(0) FROM aside LIMIT 0; ${UPDATE}`)] },
    'beside a PREPARE': { sent: [query(`PREPARE x AS SELECT 1; ${UPDATE}`)] },
  };
  for (const [what, { first, sent, aside = 0 }] of Object.entries(cases))
    test(what, HANGS, async () => {
      await reset();
      const raw = await connectRaw(scene);
      if (first !== undefined) await answer(raw, query(first));
      const before = timesRunAgain();
      const told = await inTheWay(raw, ...sent);
      assert.equal(errorIn(told)['C'], '40001');
      assert.equal(timesRunAgain() - before, 0);
      if (first === 'BEGIN') await answer(raw, query('ROLLBACK'));
      assert.deepEqual(await numbers(), [0, null, aside]);
      await assertWritersEqual(cluster);
      raw.destroy();
    });
});

describe('between two runs', () => {
  const text = KEYED.replace('n + $2', 'computed(n) + $2');
  const before = async (): Promise<RawClient> => {
    await reset();
    await client.query(`CREATE OR REPLACE FUNCTION computed(i int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT i'`);
    return connectRaw(scene);
  };
  /** The answer of what waits for a row while `meanwhile` is defined. */
  const heldBy = async (
    raw: RawClient,
    meanwhile: string,
    ...sent: readonly Buffer[]
  ): Promise<readonly BackendMessage[]> => {
    await client.query('BEGIN; UPDATE bare SET n = n WHERE id = 1');
    const told = answer(raw, ...sent);
    await waiting(1);
    await other.query(meanwhile);
    await client.query('COMMIT');
    return told;
  };

  test('names are what they were: a statement that is refused then is not prepared', HANGS, async () => {
    const raw = await before();
    const sent = [parse('kept', text), bind('', 'kept', bound), execute(''), sync()];
    assert.equal(errorIn(await heldBy(raw, 'DROP FUNCTION computed(int)', ...sent))['C'], '42883');
    await client.query(`CREATE FUNCTION computed(i int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT i'`);
    const again = await answer(raw, ...sent);
    assert.deepEqual(
      again.map(({ type }) => type),
      ['ParseComplete', 'BindComplete', 'DataRow', 'CommandComplete', 'ReadyForQuery'],
    );
    raw.destroy();
  });

  test('a Close behind what is refused then is not done', HANGS, async () => {
    const raw = await before();
    await answer(raw, parse('kept', text), sync());
    const sent = [bind('', 'kept', bound), execute(''), close('S', 'kept'), sync()];
    assert.equal(errorIn(await heldBy(raw, 'DROP FUNCTION computed(int)', ...sent))['C'], '42883');
    await client.query(`CREATE FUNCTION computed(i int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT i'`);
    const described = await answer(raw, describing('S', 'kept'), sync());
    assert.equal(described[0]?.type, 'ParameterDescription');
    raw.destroy();
  });

  test('a result is described as it is then', HANGS, async () => {
    const raw = await before();
    const returning = text.replace('RETURNING id, n, note', 'RETURNING computed(n)');
    const sent = [parse('kept', returning.replace('computed(n) + $2', 'n + $2')), bind('', 'kept', bound)];
    const define = `BEGIN; DROP FUNCTION computed(int); CREATE FUNCTION computed(i int) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT i::text'; COMMIT`;
    const told = await heldBy(raw, define, ...sent, describing('P', ''), execute(''), sync());
    assert.deepEqual(
      told.flatMap((one) => (one.type === 'RowDescription' ? one.fields.map(({ type }) => type) : [])),
      [TEXT],
    );
    const again = await answer(raw, bind('', 'kept', bound), execute(''), sync());
    assert.deepEqual(
      again.map(({ type }) => type),
      ['BindComplete', 'DataRow', 'CommandComplete', 'ReadyForQuery'],
    );
    await client.query('DROP FUNCTION computed(int)');
    raw.destroy();
  });

  test('a statement that a run has not got to may be what is not run again, behind a COMMIT too', HANGS, async () => {
    const raw = await before();
    const [row] = await sql(w1, 'SELECT count(*)::int AS n FROM bare');
    const told = await inTheWay(raw, query("BEGIN; INSERT INTO bare VALUES (50, 1, ''); COMMIT; SELECT locking(1)"));
    assert.deepEqual(
      told.flatMap((one) => (one.type === 'CommandComplete' ? [one.tag] : [])),
      ['BEGIN', 'INSERT 0 1', 'COMMIT', 'SELECT 1'],
    );
    const [now] = await sql(w1, 'SELECT count(*)::int AS n FROM bare');
    assert.equal(Number(now?.['n']) - Number(row?.['n']), 1);
    await assertWritersEqual(cluster);
    raw.destroy();
  });

  test('what is defined to take a lock of the session is not run once more', HANGS, async () => {
    const raw = await before();
    await other.query(`BEGIN; CREATE OR REPLACE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
      'BEGIN PERFORM pg_advisory_lock(55); NEW.note := TG_NAME; RETURN NEW; END'; ${TRIGGER}`);
    const told = answer(raw, query(UPDATE));
    await waiting(1);
    await other.query('COMMIT');
    assert.equal(errorIn(await told)['C'], '40001');
    await other.query(`CREATE OR REPLACE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
      'BEGIN NEW.note := TG_NAME; RETURN NEW; END'`);
    raw.destroy();
  });
});

test('a function that may reach other servers is not run once more', HANGS, async () => {
  await other.query('CREATE EXTENSION dblink');
  await reset();
  const raw = await connectRaw(scene);
  assert.equal(errorIn(await inTheWay(raw, query(UPDATE.replace('n + 1', 'plain(n)'))))['C'], '40001');
  await other.query('DROP EXTENSION dblink');
  await assertWritersEqual(cluster);
});

test('what is in the way again and again is told', HANGS, async () => {
  await reset();
  await other.query(TRIGGER);
  await client.query('UPDATE bare SET note = NULL');
  const raw = await connectRaw(scene);
  const before = timesRunAgain();
  const makers = await Promise.all(Array.from({ length: RUNS }, () => proxy.connect()));
  const made: Promise<unknown>[] = [];
  const make = (index: number): void => {
    // Each time it is to be planned otherwise.
    const text = `ALTER TABLE bare ${index % 2 === 0 ? 'DISABLE' : 'ENABLE'} TRIGGER a`;
    made.push(makers[index]?.query(`BEGIN; ${text}`) ?? Promise.resolve());
  };
  make(0);
  await made[0];
  const told = answer(raw, query(UPDATE));
  await waiting(1);
  for (const [index, maker] of makers.entries()) {
    // It stands behind the run in hand, and in front of the next one.
    if (index + 1 < RUNS) {
      make(index + 1);
      await waiting(2);
    }
    await maker.query('COMMIT');
    await made[index + 1];
    if (index + 1 < RUNS) await waiting(1);
  }
  assert.equal(errorIn(await told)['C'], '40001');
  assert.equal(timesRunAgain() - before, RUNS - 1);
  assert.deepEqual(await numbers(), [0, 'a', 0]);
  await assertWritersEqual(cluster);
});
