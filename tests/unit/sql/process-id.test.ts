import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Analyser, loadParser } from '../../../src/sql/analyse.ts';
import { withProcessId } from '../../../src/sql/process-id.ts';

await loadParser();
const analyser = new Analyser({ cacheSize: 100, sizeLimitBytes: 16_384 });
const own = '(SELECT 77::pg_catalog.int4 AS pg_backend_pid)';

/** With `#` where the number's text stands; undefined where the text stays. */
function replaced(text: string): string | undefined {
  const bytes = Buffer.from(text);
  const analysis = analyser.analyse(bytes, { encoding: 'UTF8', standardStrings: 'on' });
  return withProcessId(bytes, analysis, 77)?.text.toString().replaceAll(own, '#');
}

describe('pg_backend_pid() becomes the number of the client', () => {
  for (const [text, expected] of [
    ['SELECT pg_backend_pid()', 'SELECT #'],
    ['SELECT PG_Backend_PID ( /* ) */ ) AS a', 'SELECT # AS a'],
    ['SELECT \'ü\', "pg_catalog"."pg_backend_pid"()', "SELECT 'ü', #"],
    [
      "SELECT 'pg_backend_pid()', pg_backend_pid()::text, pg_backend_pid() + 1",
      "SELECT 'pg_backend_pid()', #::text, # + 1",
    ],
    ['SELECT 1; SELECT pg_backend_pid(); VALUES (pg_backend_pid())', 'SELECT 1; SELECT #; VALUES (#)'],
    ['INSERT INTO t SELECT pg_backend_pid() FROM u', 'INSERT INTO t SELECT # FROM u'],
    [
      "INSERT INTO t VALUES ('a', 1, pg_backend_pid()), ('b', 2, pg_backend_pid())",
      "INSERT INTO t VALUES ('a', 1, #), ('b', 2, #)",
    ],
    ['UPDATE t SET a = pg_backend_pid() WHERE b = pg_backend_pid()', 'UPDATE t SET a = # WHERE b = #'],
    [
      'DELETE FROM t WHERE pid = pg_backend_pid() RETURNING pg_backend_pid()',
      'DELETE FROM t WHERE pid = # RETURNING #',
    ],
    ['CREATE TEMP TABLE t AS SELECT pg_backend_pid()', 'CREATE TEMP TABLE t AS SELECT #'],
    ['SELECT pg_backend_pid() INTO t', 'SELECT # INTO t'],
    ['DECLARE c CURSOR FOR SELECT pg_backend_pid()', 'DECLARE c CURSOR FOR SELECT #'],
    ['COPY (SELECT pg_backend_pid()) TO STDOUT', 'COPY (SELECT #) TO STDOUT'],
    ['EXPLAIN ANALYZE SELECT pg_backend_pid()', 'EXPLAIN ANALYZE SELECT #'],
    ['SELECT $1::int, pg_backend_pid()', 'SELECT $1::int, #'],
  ] as const)
    test(text, () => assert.equal(replaced(text), expected));
});

describe('stays the server’s', () => {
  for (const text of [
    'SELECT 1',
    "SELECT 'pg_backend_pid()'",
    'SELECT * FROM pg_stat_activity WHERE pid = pg_backend_pid()',
    'SELECT pg_backend_pid() FROM pg_catalog.pg_locks',
    'SELECT pg_blocking_pids(pg_backend_pid())',
    'SELECT pg_terminate_backend(pg_backend_pid())',
    'SELECT pg_stat_get_backend_userid(pg_backend_pid())',
    'SELECT * FROM pg_backend_pid()',
    'SELECT pg_backend_pid() OVER ()',
    'SELECT pg_backend_pid(1)',
    'SELECT other.pg_backend_pid()',
    'CREATE TABLE t (a int DEFAULT pg_backend_pid())',
    'CREATE VIEW v AS SELECT pg_backend_pid()',
    'PREPARE p AS SELECT pg_backend_pid()',
    'CALL p(pg_backend_pid())',
    'EXECUTE p (pg_backend_pid())',
    'EXPLAIN SELECT pg_backend_pid()',
    'COPY t FROM STDIN WHERE a = pg_backend_pid()',
    'SELECT pg_backend_pid(',
  ])
    test(text, () => assert.equal(replaced(text), undefined));
});
