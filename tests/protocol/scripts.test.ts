import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { allScripts } from './groups.ts';

describe('the scripts of the protocol battery', () => {
  const statements = allScripts.flatMap((script) => script.steps.map((step) => step.text));

  it('send well over 300 requests', () => {
    assert.ok(statements.length >= 300, `${statements.length} requests`);
    assert.ok(new Set(statements).size >= 300, `${new Set(statements).size} different requests`);
  });

  it('have names of their own', () => {
    const names = allScripts.map((script) => script.name);
    assert.deepEqual([...new Set(names)], names);
  });

  it('touch every command of PostgreSQL that a session can use', () => {
    const missing = commands.filter((command) => !statements.some((sql) => command.test(sql)));
    assert.deepEqual(missing, []);
  });
});

/** One for each page of the manual's "SQL Commands" that a test can run without changing the server for good. */
const commands = `
  ABORT, ALTER DATABASE, ALTER DEFAULT PRIVILEGES, ALTER DOMAIN, ALTER FUNCTION, ALTER INDEX, ALTER ROLE,
  ALTER SEQUENCE, ALTER TABLE, ALTER TYPE, ANALYZE, BEGIN, CALL, CHECKPOINT, CLOSE, CLUSTER, COMMENT, COMMIT,
  COMMIT PREPARED, COPY, CREATE AGGREGATE, CREATE CAST, CREATE COLLATION, CREATE DATABASE, CREATE DOMAIN,
  CREATE EXTENSION, CREATE FUNCTION, CREATE INDEX, CREATE MATERIALIZED VIEW, CREATE OPERATOR, CREATE POLICY,
  CREATE PROCEDURE, CREATE PUBLICATION, CREATE ROLE, CREATE RULE, CREATE SCHEMA, CREATE SEQUENCE, CREATE STATISTICS,
  CREATE TABLE, CREATE TEXT SEARCH CONFIGURATION, CREATE TRIGGER, CREATE TYPE, CREATE VIEW, DEALLOCATE, DECLARE,
  DELETE, DISCARD, DO, DROP DATABASE, DROP OWNED, DROP ROLE, DROP TABLE, END, EXECUTE, EXPLAIN, FETCH, GRANT, INSERT,
  LISTEN, LOAD, LOCK, MERGE, MOVE, NOTIFY, PREPARE, PREPARE TRANSACTION, REASSIGN OWNED, REFRESH MATERIALIZED VIEW,
  REINDEX, RELEASE, RESET, REVOKE, ROLLBACK, ROLLBACK PREPARED, ROLLBACK TO, SAVEPOINT, SELECT, SET, SET CONSTRAINTS,
  SET ROLE, SET SESSION AUTHORIZATION, SET TRANSACTION, SHOW, START TRANSACTION, TABLE, TRUNCATE, UNLISTEN, UPDATE,
  VACUUM, VALUES, WITH`
  .split(',')
  .map((words) => new RegExp(`^${words.trim()}\\b`));
