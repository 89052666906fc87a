/** What psql shows of an error: message, the line with the caret under the right character, and all fields. */
import assert from 'node:assert/strict';
import { clientTest } from '../support/client-programs.ts';
import { sql } from '../support/cluster.ts';
import { assertSame, psql } from './psql.ts';
import { assertWritersEqual, createDatabases, openStage } from './stage.ts';

const stage = await openStage();
await createDatabases(stage, 'direct', 'through');

const definitions = `
CREATE TABLE plain (id integer PRIMARY KEY, "größe" text CONSTRAINT "nicht leer" CHECK ("größe" <> ''));
CREATE TABLE counted (id serial PRIMARY KEY, at timestamptz DEFAULT now(), word text UNIQUE);
CREATE TABLE child (parent integer REFERENCES plain DEFERRABLE INITIALLY DEFERRED);
CREATE FUNCTION fails() RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'ümläut' USING ERRCODE = 'UX123', DETAIL = 'the detail', HINT = 'the hint', TABLE = 't', COLUMN = 'c', CONSTRAINT = 'k', DATATYPE = 'd', SCHEMA = 's';
END $$;
CREATE FUNCTION nested() RETURNS integer LANGUAGE plpgsql AS $$ BEGIN RETURN fails() + 1; END $$;
`;

/** Each a statement that PostgreSQL refuses; most of them at a position. */
const refusals = [
  'SELECT nothing;',
  'SELECT 1 +;',
  'SELECT 1\n  AS one,\n  nothing AS two,\n  3 AS three;',
  "SELECT 'ünïcödé 日本語 😀', nothing;",
  "SELECT 'ünïcödé' AS \"größe\",\n\t'tab', '日本語',\tnichts AS x\nFROM plain;",
  "/* Kommentar: äöü\n 😀 */ SELECT '€', x FROM plain; -- ende",
  "SELECT '日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語', 'äöüäöüäöüäöüäöüäöüäöüäöüäöüäöü', hier, 'hinten noch viel mehr Text, der nicht in eine Zeile paßt';",
  "SELECT '€' || 1 / 'x'::integer;",
  "SELECT 'é'::intéger;",
  'SELECT * FROM "tablé";',
  'SELECT größé("größe") FROM plain;',
  'SELECT 1; SELECT 2 FROM nothing;',
  'TABLE nothing;',
  "INSERT INTO plain VALUES (1, 'ä', 'zu viel');",
  "INSERT INTO plain (id, \"größe\") VALUES (1, 'ä'), ('é', 'ö');",
  'INSERT INTO plain (id, "grösse") VALUES (1, \'ä\');',
  "INSERT INTO counted (word) VALUES ('ä') RETURNING 'ü', nichts;",
  "INSERT INTO counted (word, nichts) VALUES ('ä', now());",
  "INSERT INTO counted (word, at)\nVALUES ('äöü', now()),\n       ('€', now() + nichts);",
  "UPDATE plain SET \"größe\" = 'ü' WHERE '日本' = nichts;",
  "UPDATE counted SET at = CURRENT_TIMESTAMP, word = 'ä' WHERE nichts;",
  "DELETE FROM plain USING nichts WHERE 'ä' = 'ä';",
  'CREATE TABLE "ä" (a integer, b nichts);',
  "CREATE VIEW v AS SELECT 'ä', nichts FROM plain;",
  "CREATE FUNCTION f() RETURNS integer LANGUAGE sql AS 'SELECT ''ä'', nichts';",
  "CREATE FUNCTION f() RETURNS integer LANGUAGE plpgsql AS $$\nBEGIN\n  RETURN 'ä' nichts;\nEND $$;",
  "PREPARE p AS SELECT 'ä', nichts;",
  "DO $$ BEGIN PERFORM 'ä', nichts; END $$;",
  "ALTER TABLE plain ADD COLUMN x integer DEFAULT 'ä';",
  'COPY nichts FROM STDIN;',
  'SET nothing_like_it = 1;',
  'ROLLBACK TO nothing;',
  'SELECT nested();',
  "SELECT 'ä', 1 / 0;",
  "INSERT INTO plain VALUES (1, 'ä'); INSERT INTO plain VALUES (1, 'ü');",
  "INSERT INTO plain VALUES (2, '');",
  'INSERT INTO child VALUES (77);',
  'BEGIN; INSERT INTO child VALUES (78); COMMIT;',
  "BEGIN;\nSELECT 'ä', nichts;\nSELECT 1;\nROLLBACK;",
  "INSERT INTO counted (word) VALUES ('twice'), ('twice');",
  "SELECT 'unterminated;\n';",
  "SELECT E'\\u00zz';",
  "SELECT U&'\\00e4', nichts;",
  'SELECT $ä$text$ä$, nichts;',
  'SELECT "ü"."ä" FROM plain AS "ü";',
] as const;

clientTest('psql puts the caret under the character that the lead means', 'psql', async () => {
  const where = { direct: 'direct', through: 'through' };
  assert.equal((await assertSame(stage, ['-v', 'ON_ERROR_STOP=1'], definitions, where)).status, 0);
  const { stderr } = await assertSame(stage, [], refusals.join('\n'), where);
  assert.ok([...stderr.matchAll(/^ +\^$/gm)].length > 25, 'most of them have a caret');
  assert.match(stderr, /LINE 3: {3}nothing AS two,\n {10}\^/);
  for (const several of refusals.filter((text) => text.split(';').length > 2)) {
    await assertSame(stage, ['-c', several], undefined, where);
  }
  await assertWritersEqual(stage, 'through');
});

clientTest('psql shows every field of an error with \\errverbose', 'psql', async () => {
  const script = refusals.map((refusal) => `${refusal}\n\\errverbose\n`).join('');
  const { stderr, stdout } = await assertSame(stage, [], script, { direct: 'direct', through: 'through' });
  assert.match(
    stdout + stderr,
    /ERROR: {2}23514: .*\nDETAIL: .*\nSCHEMA NAME: {2}public\nTABLE NAME: {2}plain\nCONSTRAINT NAME: {2}nicht leer\nLOCATION: {2}\w+, \w+\.c:\d+/,
  );
  assert.match(stdout + stderr, /ERROR: {2}UX123: ümläut\nDETAIL: {2}the detail\nHINT: {2}the hint\nCONTEXT: .*/);
});

clientTest('psql shows messages in its own verbosity', 'psql', async () => {
  for (const verbosity of ['terse', 'default', 'verbose', 'sqlstate']) {
    const script = `\\set VERBOSITY ${verbosity}\n\\set SHOW_CONTEXT always\n${refusals.slice(-20).join('\n')}`;
    await assertSame(stage, [], script, { direct: 'direct', through: 'through' });
  }
});

clientTest('psql is told what happened on each writer where only one of them fails', 'psql', async () => {
  const { cluster } = stage;
  await sql(cluster.w2, 'ALTER TABLE plain ADD CONSTRAINT only_here CHECK (id < 1000)', 'through');
  const script =
    "\\set VERBOSITY verbose\nINSERT INTO plain VALUES (2000, 'ä');\nSELECT count(*) FROM plain WHERE id = 2000;\n";
  const { status, stderr, stdout } = await psql(stage.proxy, ['-At'], { input: script, database: 'through' });
  assert.equal(status, 0);
  assert.equal(stdout, '0\n');
  assert.match(stderr, /^ERROR: {2}23514: new row for relation "plain" violates check constraint "only_here"$/m);
  assert.match(stderr, new RegExp(`^DETAIL: {2}follower 127\\.0\\.0\\.1:${cluster.w2.port}.*: ERROR 23514: .*$`, 'm'));
  assert.match(stderr, new RegExp(`^lead 127\\.0\\.0\\.1:${cluster.w1.port}.*: rolled back$`, 'm'));
  assert.match(stderr, /^HINT: {2}Nothing of this was applied on any writer\.$/m);
  await sql(cluster.w2, 'ALTER TABLE plain DROP CONSTRAINT only_here', 'through');
  await assertWritersEqual(stage, 'through');
});

clientTest(
  'psql in another encoding reads any text, and is refused statements that are not ASCII',
  'psql',
  async () => {
    const env = { PGCLIENTENCODING: 'LATIN1' };
    const { status } = await assertSame(stage, [], 'SHOW client_encoding;\nSELECT chr(228) AS word;\n', { env });
    assert.equal(status, 0);
    const script = Buffer.from(
      "CREATE TABLE latin (word text);\nINSERT INTO latin VALUES ('ä');\nTABLE latin;\n",
      'latin1',
    );
    const { stdout, stderr } = await psql(stage.proxy, ['-At'], { input: script, database: 'through', env });
    assert.equal(stdout, 'CREATE TABLE\n');
    assert.match(stderr, /^ERROR: {2}the statement cannot be read with these settings of client_encoding/);
  },
);
