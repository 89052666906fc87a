/** What a client sets is in force on every server that works for it, and for nobody else. */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { sql } from '../support/cluster.ts';
import { cancelRequest, query, terminate } from '../support/frontend-messages.ts';
import { RawClient } from '../support/raw-client.ts';
import { errorIn, replayed, startScene, until } from './scene.ts';

const { cluster, proxy } = await startScene({ poolSize: 1, poolWaitMs: 20_000 });
const { w1, w2 } = cluster;

// The follower notes with which settings it writes.
for (const server of [w1, w2]) {
  await sql(
    server,
    `CREATE ROLE one; CREATE ROLE two; GRANT one TO two; CREATE SCHEMA near; CREATE SCHEMA far; CREATE TABLE near.mark (id int, name text);
     CREATE TABLE far.mark (id int, name text); CREATE TABLE public.mark (id int, name text);
     CREATE TABLE stamp (id int PRIMARY KEY, at timestamptz, day date);
     GRANT ALL ON ALL TABLES IN SCHEMA near, far, public TO one, two; GRANT USAGE ON SCHEMA near, far TO one, two;
     CREATE TABLE noted (id int, settings text); CREATE SEQUENCE counted;
     CREATE FUNCTION with_own_path() RETURNS text LANGUAGE sql STABLE SET search_path = far AS $$ SELECT current_setting('search_path') $$;
     CREATE FUNCTION sets_secretly() RETURNS text LANGUAGE sql VOLATILE AS $$ SELECT set_config('my.secret', 'x', false) $$`,
  );
}
/** Everything that a session has set, as one text; `lock_timeout` is pprox's own in a follower's transaction. */
const ALL = `concat_ws(' ', current_user, session_user, current_setting('my.secret', true), current_setting('my.other', true),
  (SELECT string_agg(name || '=' || setting, ' ' ORDER BY name) FROM pg_settings WHERE source = 'session' AND name NOT IN ('lock_timeout', 'transaction_isolation', 'transaction_read_only', 'transaction_deferrable')))`;
await sql(
  w2,
  `CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
     INSERT INTO public.noted SELECT NEW.id, ${ALL}; RETURN NULL; END $$;
   GRANT INSERT ON noted TO one, two;
   CREATE TRIGGER note AFTER INSERT ON public.mark FOR EACH ROW EXECUTE FUNCTION note();
   CREATE TRIGGER note AFTER INSERT ON near.mark FOR EACH ROW EXECUTE FUNCTION note();
   CREATE TRIGGER note AFTER INSERT ON far.mark FOR EACH ROW EXECUTE FUNCTION note()`,
);
await replayed(cluster);

async function connect(to: { readonly host: string; readonly port: number } = proxy): Promise<RawClient> {
  const client = await RawClient.start({ host: to.host, port: to.port, user: 'postgres', database: 'postgres' });
  after(() => client.destroy());
  return client;
}

/** The one value of a one-row result. */
async function valueOf(client: RawClient, text: string): Promise<string | undefined> {
  const messages = await client.query(text);
  const rows = messages.flatMap((message) => (message.type === 'DataRow' ? [message.values[0]] : []));
  assert.equal(rows.length, 1, `${text}: ${JSON.stringify(messages)}`);
  return rows[0]?.toString();
}

/** Runs every text; each has to succeed. */
async function run(client: RawClient, ...texts: readonly string[]): Promise<void> {
  for (const text of texts) {
    const failed = (await client.query(text)).find(({ type }) => type === 'ErrorResponse');
    assert.equal(failed, undefined, `${text}: ${JSON.stringify(failed)}`);
  }
}

const onLead = (client: RawClient, what: string): Promise<string | undefined> =>
  valueOf(client, `/* pprox: lead */ SELECT ${what}`);

/** The same of the reader, once the session may read there. */
async function onReader(client: RawClient, what: string): Promise<string | undefined> {
  let answer: string | undefined;
  await until('the reader serves the session', async () => {
    answer = await valueOf(client, `/* pprox: reader */ SELECT pg_is_in_recovery() || ' ' || ${what}`);
    return answer?.startsWith('true ') === true;
  });
  return answer?.slice('true '.length);
}

let ids = 0;

/** Writes a row and tells with which settings the follower wrote it. */
async function onFollower(client: RawClient): Promise<string | undefined> {
  const id = ++ids;
  await run(client, `INSERT INTO mark VALUES (${id}, 'x')`);
  const [row] = await sql(w2, `SELECT settings FROM noted WHERE id = ${id}`);
  return row === undefined ? undefined : String(row['settings']);
}

async function goodbye(client: RawClient): Promise<void> {
  client.send(terminate());
  await client.waitClosed();
}

async function cancel(client: RawClient): Promise<void> {
  const key = client.messages.find((message) => message.type === 'BackendKeyData');
  assert.ok(key?.type === 'BackendKeyData');
  const request = await RawClient.open(proxy);
  request.send(cancelRequest(key.pid, key.secret));
  await request.waitClosed();
}

const endings: Readonly<Record<string, (client: RawClient) => Promise<void>>> = {
  'says goodbye': goodbye,
  vanishes: async (client) => client.destroy(),
  'fails and leaves': async (client) => {
    errorIn(await client.query('SELECT 1 / 0 FROM mark; SELECT 2'));
    errorIn(await client.query('INSERT INTO no_such_table VALUES (1)'));
    await goodbye(client);
  },
  'is cancelled and leaves': async (client) => {
    const mark = `sleeps ${++ids}`;
    client.send(query(`/* pprox: lead */ SELECT pg_sleep(60) /* ${mark} */`));
    await until('it sleeps', async () => {
      const text = `SELECT FROM pg_stat_activity WHERE query LIKE '%${mark}%' AND state = 'active' AND pid <> pg_backend_pid()`;
      const asleep = await Promise.all([w1, cluster.replica].map((server) => sql(server, text)));
      return asleep.flat().length === 1;
    });
    const ready = client.readies + 1;
    await cancel(client);
    await client.waitReady(ready);
    await goodbye(client);
  },
};

const kinds: Readonly<Record<string, readonly string[]>> = {
  SET: ["SET work_mem = '7MB'", 'SET enable_seqscan = off; SET jit = off', "SET statement_timeout = '3min'"],
  'what results look like': [
    "SET DateStyle = 'German'; SET IntervalStyle = iso_8601; SET TimeZone = 'Asia/Tokyo'; SET bytea_output = escape",
    'SET extra_float_digits = 0',
  ],
  'a time zone': ["SET TIME ZONE INTERVAL '-08:30' HOUR TO MINUTE"],
  'a client encoding': ["SET NAMES 'LATIN1'"],
  'how strings are read': ['SET standard_conforming_strings = off', 'SET backslash_quote = on'],
  'a search_path': ['SET search_path = far, public'],
  'a schema with an odd name': [`SET search_path = 'o''dd', "$user", "Ünï\u{1f600}", public`],
  'a role': ['SET ROLE one'],
  'a role in a transaction': ['BEGIN; SET LOCAL ROLE one; SELECT 1'],
  'an authorization': ['SET SESSION AUTHORIZATION two'],
  'an authorization, and a role of it': ['SET SESSION AUTHORIZATION two', 'SET ROLE one', 'SET work_mem = 99'],
  'SET LOCAL in a block': ['BEGIN', "SET LOCAL search_path = far; SET LOCAL my.secret = 'x'", 'COMMIT'],
  'SET LOCAL in a block that is open': ['BEGIN', "SET LOCAL search_path = far; SET LOCAL my.secret = 'x'"],
  'SET in a block': ['BEGIN', 'SET search_path = far', 'COMMIT'],
  'SET in a block that is open': ['BEGIN', 'SET search_path = far'],
  'SET in a read-only block': ['BEGIN READ ONLY', 'SELECT 1', 'SET search_path = far', 'COMMIT'],
  'SET in a read-only block that is open': ['BEGIN READ ONLY', 'SELECT 1', "SET my.secret = 'x'"],
  'set_config in a read-only block': [
    'BEGIN READ ONLY; SELECT 1',
    "SELECT set_config('my.secret', 'x', false)",
    'COMMIT',
  ],
  'a custom setting': ["SET my.secret = 'x'; SET my.other = 'y'"],
  'a custom setting that it reset': ["SET my.secret = 'x'", 'RESET my.secret'],
  'a custom setting that it rolled back': ['BEGIN', "SET my.secret = 'x'", 'ROLLBACK'],
  set_config: ["SELECT set_config('search_path', 'far', false), set_config('my.secret', 'x', false)"],
  'set_config with computed names': [
    "SELECT set_config('my.' || 'secret', 'x', false), set_config(n, 'far', false) FROM (VALUES ('search_path')) v (n)",
  ],
  'set_config that fails': ["SELECT set_config('my.secret', 'x', false)", 'SELECT 1'],
  'a function with settings of its own': ['SELECT with_own_path()'],
  'a function that sets': ['SELECT sets_secretly()'],
  'a DO block that sets': ["DO $$ BEGIN PERFORM set_config('my.secret', 'x', false); SET search_path = far; END $$"],
  'a prepared statement that sets': ["PREPARE put AS SELECT set_config('my.secret', 'x', false)", 'EXECUTE put'],
  'a cursor that sets': ["BEGIN; DECLARE c CURSOR FOR SELECT set_config('my.secret', 'x', false); FETCH c; COMMIT"],
  'an update of pg_settings': ["UPDATE pg_settings SET setting = 'far' WHERE name = 'search_path'"],
  'session characteristics': [
    'SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY, ISOLATION LEVEL SERIALIZABLE, DEFERRABLE',
  ],
  'transactions that only read': ['SET default_transaction_read_only = on'],
  'a replication role': ['SET session_replication_role = replica', 'SET row_security = off'],
  'a temporary table': ['CREATE TEMP TABLE mark (id int)', 'INSERT INTO mark VALUES (1)'],
  'a prepared statement': ['PREPARE probe AS SELECT 1', 'EXECUTE probe'],
  'a prepared statement that was shown': ['PREPARE probe AS SELECT 1', 'EXPLAIN EXECUTE probe'],
  'a held cursor': ['BEGIN; DECLARE probe CURSOR WITH HOLD FOR SELECT 1; COMMIT'],
  'an advisory lock': ['SELECT pg_advisory_lock(77)'],
  'a channel': ['LISTEN probe'],
  'the last value of a sequence': ["SELECT nextval('counted')"],
};

describe('the next client on the same connections finds nothing of one that leaves', () => {
  for (const [what, texts] of Object.entries(kinds)) {
    for (const [how, end] of Object.entries(endings)) {
      test(`${what} and ${how}`, async () => {
        const first = await connect();
        await run(first, ...texts);
        await end(first);
        const second = await connect();
        const from = second.messages.length;
        for (const place of [onLead, onReader]) assert.equal(await place(second, ALL), 'postgres postgres');
        const left = `(SELECT count(*) FROM pg_prepared_statements) + (SELECT count(*) FROM pg_cursors WHERE name <> '') + (SELECT count(*) FROM pg_listening_channels())`;
        for (const place of [onLead, onReader]) assert.equal(await place(second, left), '0');
        assert.equal(errorIn(await second.query('SELECT lastval()'))['C'], '55000');
        assert.equal(await onFollower(second), 'postgres postgres');
        assert.equal(await onLead(second, `(SELECT tableoid::regclass::text FROM mark WHERE id = ${ids})`), 'mark');
        assert.equal(await onLead(second, 'pg_try_advisory_lock(77)'), 't');
        const told = second.messages.slice(from).filter(({ type }) => type === 'ParameterStatus');
        assert.deepEqual(told, [], 'nothing that it has not changed is told');
        await goodbye(second);
      });
    }
  }
});
