/** What definitions may change for transactions that are under way. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { Analyser, loadParser } from '../../../src/sql/analyse.ts';
import type { Changed } from '../../../src/sql/statement.ts';

let analyser: Analyser;
before(async () => {
  await loadParser();
  analyser = new Analyser({ cacheSize: 10, sizeLimitBytes: 10_000 });
});

function definedBy(text: string): readonly [Changed, ...string[]] {
  const analysis = analyser.analyse(Buffer.from(text), { encoding: 'UTF8', standardStrings: 'on' });
  assert.ok(analysis.kind === 'statements', text);
  const command = analysis.statements[0]?.command;
  assert.ok(command?.kind === 'definition', text);
  return [command.changes, ...command.names];
}

const cases: Readonly<Record<Changed, readonly (string | readonly [text: string, ...names: string[]])[]>> = {
  nothing: [
    "COMMENT ON TABLE t IS 'x'",
    'CREATE ROLE r',
    'CREATE STATISTICS s ON a, b FROM t',
    'CREATE DATABASE d',
    'ALTER LARGE OBJECT 7 OWNER TO r',
    'CREATE SERVER s FOREIGN DATA WRAPPER w',
  ],
  relations: [
    ['CREATE TABLE s.t (a int)', 't'],
    ['CREATE TABLE t PARTITION OF p DEFAULT', 't'],
    ['CREATE TABLE t AS SELECT 1', 't'],
    ['SELECT 1 INTO t', 't'],
    ['CREATE MATERIALIZED VIEW m AS SELECT 1', 'm'],
    ['CREATE OR REPLACE VIEW v AS SELECT 1', 'v'],
    ['CREATE SEQUENCE q', 'q'],
    ['CREATE FOREIGN TABLE f (a int) SERVER s', 'f'],
    ['ALTER TABLE t RENAME TO u', 'u'],
    ['ALTER VIEW v RENAME TO w', 'w'],
    ['ALTER TABLE t SET SCHEMA s', 't'],
    'ALTER TABLE t RENAME a TO b',
    'ALTER TABLE t RENAME CONSTRAINT a TO b',
    'ALTER TRIGGER a ON t RENAME TO b',
    'ALTER TABLE t ADD a int DEFAULT f()',
    'ALTER TABLE t DISABLE TRIGGER ALL',
    'ALTER TABLE t OWNER TO r',
    'ALTER INDEX i SET (fillfactor = 10)',
    'ALTER SEQUENCE q OWNED BY NONE',
    'CREATE UNIQUE INDEX ON t (a)',
    'CREATE TRIGGER g BEFORE INSERT ON t EXECUTE FUNCTION f()',
    'CREATE RULE r AS ON INSERT TO t DO NOTHING',
    'CREATE POLICY p ON t',
    'ALTER POLICY p ON t USING (true)',
    'GRANT SELECT ON t TO r',
    'DROP TABLE a, b',
    'DROP VIEW v',
    'DROP TRIGGER g ON t',
    'DROP INDEX i',
  ],
  objects: [
    'CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS $$SELECT 1$$',
    'ALTER FUNCTION f() IMMUTABLE',
    'ALTER FUNCTION f() OWNER TO r',
    'DROP FUNCTION f()',
    'ALTER FUNCTION f() RENAME TO g',
    'CREATE DOMAIN d AS int DEFAULT 1',
    'ALTER DOMAIN d SET DEFAULT 2',
    "CREATE TYPE e AS ENUM ('a')",
    "ALTER TYPE e ADD VALUE 'b'",
    'ALTER TYPE c ADD ATTRIBUTE a int',
    'ALTER TYPE c RENAME ATTRIBUTE a TO b',
    'CREATE OPERATOR + (FUNCTION = f, LEFTARG = int, RIGHTARG = text)',
    'CREATE CAST (text AS c) WITH INOUT',
    'CREATE EXTENSION pgcrypto',
    'ALTER ROLE r SET search_path = s',
    'ALTER DATABASE d SET search_path = s',
    'GRANT a TO b',
    'GRANT USAGE ON SCHEMA s TO r',
    'ALTER SCHEMA s OWNER TO r',
    'ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO r',
    // Where it comes first, tables are made in it from then on.
    'CREATE SCHEMA s',
    'DROP TABLE a CASCADE',
    'DROP SCHEMA s',
    'ALTER SCHEMA s RENAME TO t',
    'CREATE SCHEMA s CREATE TABLE t (a int)',
    'DROP OWNED BY r',
  ],
};

describe('a definition changes', () => {
  for (const [changes, texts] of Object.entries(cases))
    test(changes, () => {
      for (const one of texts) {
        const [text, ...names] = typeof one === 'string' ? [one] : one;
        assert.deepEqual(definedBy(text ?? ''), [changes, ...names], text);
      }
    });
});
