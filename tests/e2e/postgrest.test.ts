/** What PostgREST sends for a request: settings of its transaction, then one statement, whose WITH changes rows under row-level security. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import type pg from 'pg';
import { assertWritersEqual, outcome, startScene } from './scene.ts';

const { cluster, proxy } = await startScene({}, { reader: false });
const HANGS = { timeout: 60_000 };
let client: pg.Client;

before(async () => {
  client = await proxy.connect();
  await client.query(`
    CREATE FUNCTION me() RETURNS text LANGUAGE sql STABLE AS $$ SELECT current_setting('request.jwt.claims', true)::json ->> 'sub' $$;
    CREATE TABLE todo (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), owner text DEFAULT me(), code text UNIQUE, v text, n int,
      at timestamptz DEFAULT now());
    CREATE TABLE note (id bigserial PRIMARY KEY, owner text DEFAULT me(), v text, due timestamptz DEFAULT now());
    CREATE TABLE dated (id int PRIMARY KEY, owner text DEFAULT me(), v text, updated_at timestamptz);
    CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.updated_at := now(); RETURN NEW; END $$;
    CREATE TRIGGER touch BEFORE UPDATE ON dated FOR EACH ROW EXECUTE FUNCTION touch();
    CREATE FUNCTION add_note(v text) RETURNS bigint LANGUAGE sql AS $$ INSERT INTO note (v) VALUES (v) RETURNING id $$;
    INSERT INTO dated SELECT g, CASE WHEN g < 8 THEN 'u1' ELSE 'u2' END, 'v', '2026-01-01' FROM generate_series(1, 10) g;
    ALTER TABLE todo ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON todo USING (owner = me());
    ALTER TABLE note ENABLE ROW LEVEL SECURITY; CREATE POLICY adds ON note FOR INSERT WITH CHECK (owner = me());
    CREATE POLICY sees ON note FOR SELECT USING (true);
    ALTER TABLE dated ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON dated USING (owner = me());
    CREATE ROLE authenticated; GRANT ALL ON todo, note, dated TO authenticated; GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO authenticated;
    CREATE ROLE quiet IN ROLE authenticated; GRANT SET ON PARAMETER session_replication_role TO quiet`);
});

/** The rows of a JSON array, or the one of an object, with these columns and their types. */
function body(columns: Readonly<Record<string, string>>, from: 'array' | 'object' = 'array'): string {
  const names = Object.keys(columns).map((name) => `"${name}"`);
  const typed = Object.entries(columns).map(([name, type]) => `"${name}" ${type}`);
  const call = from === 'array' ? 'json_to_recordset' : 'json_to_record';
  return `FROM (SELECT $1::json AS json_data) pgrst_payload, LATERAL (SELECT ${names.join(', ')} FROM ${call}(pgrst_payload.json_data) AS _(${typed.join(', ')})) pgrst_body`;
}

function insert(table: string, columns: Readonly<Record<string, string>>, behind: string): string {
  const names = Object.keys(columns).map((name) => `"${name}"`);
  const read = names.map((name) => `"pgrst_body".${name}`).join(', ');
  return `INSERT INTO "public"."${table}"(${names.join(', ')}) SELECT ${read} ${body(columns)} ${behind}`;
}

/** `body`: what is answered of the rows. */
function request(source: string, answered: 'rows' | 'nothing'): string {
  const shown = answered === 'rows' ? `coalesce(json_agg(_postgrest_t), '[]')` : "''";
  return `WITH pgrst_source AS (${source}) SELECT '' AS total_result_set, pg_catalog.count(_postgrest_t) AS page_total,
    array[]::text[] AS header, ${shown}::text AS body, nullif(current_setting('response.headers', true), '') AS response_headers
    FROM (SELECT * FROM pgrst_source) _postgrest_t`;
}

const UPSERT = 'ON CONFLICT("code") DO UPDATE SET "code" = EXCLUDED."code", "v" = EXCLUDED."v"';
const TODO = { code: 'text', v: 'text' };
const UPDATE = `UPDATE "public"."todo" SET "v" = "pgrst_body"."v" ${body({ v: 'text' }, 'object')} WHERE "public"."todo"."code" = 'a'`;
const ALL = '"public"."todo".*';

/** What is asked, with its parameter, and how many rows it is about. */
const REQUESTS: readonly (readonly [string, string, number])[] = [
  [request(insert('todo', { v: 'text', n: 'int' }, 'RETURNING 1'), 'nothing'), '[{"v":"x","n":1},{"v":"y"}]', 2],
  [request(insert('todo', TODO, `RETURNING ${ALL}`), 'rows'), '[{"code":"a","v":"x"},{"code":"b","v":"y"}]', 2],
  [request(insert('todo', TODO, `${UPSERT} RETURNING 1`), 'nothing'), '[{"code":"a","v":"1"},{"code":"c","v":"2"}]', 2],
  [
    request(insert('todo', TODO, `${UPSERT} RETURNING ${ALL}`), 'rows'),
    '[{"code":"a","v":"3"},{"code":"b","v":"4"}]',
    2,
  ],
  [
    request(insert('todo', TODO, 'ON CONFLICT("code") DO NOTHING RETURNING 1'), 'nothing'),
    '[{"code":"a"},{"code":"d"}]',
    1,
  ],
  [request(`${UPDATE} RETURNING 1`, 'nothing'), '{"v":"changed"}', 1],
  [request(`${UPDATE} RETURNING ${ALL}`, 'rows'), '{"v":"again"}', 1],
  [request(insert('note', { v: 'text', due: 'timestamptz' }, 'RETURNING 1'), 'nothing'), '[{"v":"x","due":"now"}]', 1],
  [
    request(
      `SELECT "pgrst_call".* ${body({ v: 'text' }, 'object')}, LATERAL "public"."add_note"("v" := pgrst_body.v) pgrst_call`,
      'rows',
    ),
    '{"v":"called"}',
    1,
  ],
  [request('DELETE FROM "public"."dated" WHERE "public"."dated"."id" = $1 RETURNING 1', 'nothing'), '7', 1],
  [
    request('DELETE FROM "public"."dated" WHERE "public"."dated"."id" = $1 RETURNING "public"."dated".*', 'rows'),
    '9',
    0,
  ],
  // By no key: who it is about is for the policy's function to say.
  [request('DELETE FROM "public"."todo" WHERE "public"."todo"."v" = $1 RETURNING "public"."todo".*', 'rows'), 'y', 1],
  [
    request('DELETE FROM "public"."todo" WHERE "public"."todo"."code" = ANY (ARRAY[$1, $1]) RETURNING 1', 'nothing'),
    'c',
    1,
  ],
];

async function begin(role: string): Promise<void> {
  await client.query('BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE');
  await client.query(
    "SELECT set_config('search_path', $1, true), set_config('role', $2, true), set_config('request.jwt.claims', $3, true)",
    ['"public"', role, '{"sub":"u1","role":"authenticated"}'],
  );
}

for (const role of ['authenticated', 'quiet'])
  describe(`a request of role ${role}`, () => {
    for (const [index, [text, parameter, rows]] of REQUESTS.entries())
      test(`${index + 1}: ${text.slice(text.indexOf('(') + 1, text.indexOf('SELECT', 30)).trim()}`, HANGS, async () => {
        await begin(role);
        const found = await client.query<{ page_total: string }>(text, [parameter]).catch(async (error: unknown) => {
          await client.query('ROLLBACK');
          throw error;
        });
        await client.query('COMMIT');
        assert.equal(found.rows[0]?.page_total, String(rows));
        await assertWritersEqual(cluster);
      });

    const dated = [
      request(
        `UPDATE "public"."dated" SET "v" = "pgrst_body"."v" ${body({ v: 'text' }, 'object')} WHERE "id" = 1 RETURNING 1`,
        'nothing',
      ),
      request(
        `UPDATE "public"."dated" SET "v" = "pgrst_body"."v" ${body({ v: 'text' }, 'object')} WHERE "id" < 9 RETURNING "public"."dated".*`,
        'rows',
      ),
    ];
    for (const [index, text] of dated.entries())
      test(`a moment of a trigger is the lead’s, or nothing is changed (${index + 1})`, HANGS, async () => {
        await begin(role);
        const done = await outcome(client.query(text, ['{"v":"changed"}']));
        await client.query('COMMIT');
        assert.equal(done === 'ok', role === 'quiet', done);
        await assertWritersEqual(cluster);
      });

    test('what is stored for this test goes again', HANGS, async () => {
      await client.query("DELETE FROM todo; DELETE FROM note; INSERT INTO dated VALUES (7, 'u1', 'v', '2026-01-01')");
      await assertWritersEqual(cluster);
    });
  });
