/** What policies of row-level security look at, by their text and by the sources of the functions that they call. */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { TABLE } from '../../src/cluster/table-query.ts';
import { sql, startTestCluster, withConnection } from '../support/cluster.ts';

const { w1 } = await startTestCluster({ writers: 1, reader: false });
const HANGS = { timeout: 60_000 };
/** Where TABLE tells it: `relkind`, `relpersistence`, what is reached, rules, children, policies. */
const POLICIES = 5;

before(async () => {
  await sql(
    w1,
    `CREATE TABLE told (id int, owner text, until timestamptz); CREATE TABLE team (id int, member text);
     CREATE ROLE app; GRANT ALL ON told, team TO app; ALTER TABLE told ENABLE ROW LEVEL SECURITY;
     CREATE DOMAIN checked AS text CHECK (VALUE <> ''); CREATE FUNCTION member() RETURNS text STABLE LANGUAGE sql AS 'SELECT member FROM team'`,
  );
});

/** With a policy that says so, for a role that it applies to; `definitions`: run before, and taken back. */
function lookedAt(definitions: string, using: string): Promise<unknown> {
  return withConnection(w1, undefined, async (client) => {
    await client.query(`BEGIN; ${definitions}; CREATE POLICY p ON told USING (${using}); SET LOCAL ROLE app`);
    const { rows } = await client.query<unknown[]>({ text: `${TABLE}to_regclass('told')`, rowMode: 'array' });
    await client.query('ROLLBACK');
    return rows[0]?.[POLICIES];
  });
}

function me(body: string, rest = 'LANGUAGE sql STABLE', result = 'text'): string {
  return `CREATE FUNCTION me() RETURNS ${result} ${rest} AS $body$ ${body} $body$`;
}

const CLAIM = "current_setting('request.jwt.claims', true)::jsonb ->> 'sub'";
const CASES: Readonly<Record<string, readonly (readonly [string, string?])[]>> = {
  'of the row': [
    ["owner = current_setting('app.who', true)"],
    ['owner = current_user OR pg_has_role(current_user, owner, $$member$$)'],
    ['owner = me()', me(`SELECT coalesce(nullif(current_setting('request.jwt.claim.sub', true), ''), (${CLAIM}))`)],
    ['owner = (SELECT me())', me(`BEGIN RETURN ${CLAIM}; END`, 'LANGUAGE plpgsql STABLE')],
    // A word within a string is no call.
    ["owner = me('x')", "CREATE FUNCTION me(a text) RETURNS text LANGUAGE sql STABLE AS $$ SELECT $1 || ' member ' $$"],
  ],
  'of the moment': [
    ['until > now()'],
    ['until > CURRENT_TIMESTAMP'],
    ['until::date >= CURRENT_DATE'],
    ['until > LOCALTIMESTAMP'],
    ["age(until) < '1 day'"],
    ['random() < 0.5'],
    ['id <> pg_backend_pid()'],
    ["id % 2 = current_setting('port')::int % 2"],
    ["owner = current_setting('app.' || owner)"],
    ['version() = owner'],
    ["to_regclass('team') IS NOT NULL"],
  ],
  'of other rows': [
    ['EXISTS (SELECT FROM team WHERE team.id = told.id AND member = owner)'],
    ['owner = me()', me('SELECT member FROM team')],
    ['owner = me()', me('BEGIN RETURN (TABLE team LIMIT 1); END', 'LANGUAGE plpgsql STABLE')],
    [
      'owner = me()',
      me(
        "DECLARE r text; BEGIN EXECUTE 'SELECT member FR' || 'OM team' INTO r; RETURN r; END",
        'LANGUAGE plpgsql STABLE',
      ),
    ],
    ['owner = me()', me('SELECT member()')],
    ['owner = me()', me('SELECT "member"()')],
    ['owner = me()', me('SELECT U&"memb\\0065r"()')],
    ['owner = me()', me("SELECT E'\\'' || member() || E'\\''")],
    ['owner = me()', me("SELECT $q$'$q$ || member() || $q$'$q$")],
    ['owner = me()', me("SELECT 'a' -- isn't\n || member() -- isn't")],
    ['owner = me()', me("SELECT query_to_xml('TABLE team', true, true, '')::text")],
    ['owner = me()', me("SELECT 'today'::date::text")],
    ['owner = me()', me('SELECT now()::text')],
    ['owner = me()', me("SELECT ('tod' || 'ay')::date::text")],
    ['owner = me()', me("SELECT current_setting('port')")],
    ['owner = me()', me("SELECT current_setting('app.' || 'who') || current_setting('po' || 'rt')")],
    ['owner = me()', me("SELECT to_regclass('team')::oid::text")],
    ['owner = me()', me("SELECT 'team'::regclass::text")],
    ['owner = me()', me('SELECT version()')],
    ['owner = me()', me("SELECT table_to_xml('team', true, false, '')::text")],
    ['owner = me()', me("SELECT date_part('epoch', pg_postmaster_start_time())::text")],
    ['owner = me()', me('SELECT pg_trigger_depth()::text')],
    ['owner = me()', me('SELECT random()::text')],
    ['owner = me()', me('SELECT CURRENT_TIMESTAMP::text')],
    ['owner = me()', me("SELECT 'a'", 'LANGUAGE sql VOLATILE')],
    ['owner = me()', me("SELECT 'a'", 'LANGUAGE sql STABLE', 'checked')],
    ['owner = me()', me("SELECT 'a'::checked::text")],
    ['owner = me()', 'CREATE FUNCTION me() RETURNS text LANGUAGE sql STABLE RETURN (SELECT min(member) FROM team)'],
    ['owner = me(told)', 'CREATE FUNCTION me(told) RETURNS text LANGUAGE sql STABLE AS $$ SELECT $1.owner $$'],
    [
      'owner === owner',
      `CREATE FUNCTION eq(text, text) RETURNS bool LANGUAGE sql STABLE AS 'SELECT EXISTS (SELECT FROM team)';
       CREATE OPERATOR === (LEFTARG = text, RIGHTARG = text, FUNCTION = eq)`,
    ],
    [
      'owner = me()',
      `CREATE FUNCTION cat(text, text) RETURNS text LANGUAGE sql STABLE AS 'SELECT member FROM team';
       CREATE OPERATOR ||| (LEFTARG = text, RIGHTARG = text, FUNCTION = cat); ${me("SELECT 'a' ||| 'b'")}`,
    ],
  ],
};

for (const [expected, cases] of Object.entries(CASES))
  for (const [using, definitions = 'SELECT'] of cases)
    test(`${expected}: ${using}; ${definitions.replaceAll('\n', ' ')}`, HANGS, async () => {
      assert.equal(await lookedAt(definitions, using), expected);
    });
