/**
 * The table of decisions on the lead, in SQL: a row is a transaction's decision, committed by the transaction itself or,
 * as a fence, by whoever needs it never to commit. All of it runs as the login role.
 */

/** What this version of pprox works with; `pprox init` makes it. */
export const SCHEMA_VERSION = 1;

/** Makes schema pprox in a database of the lead. Runs as the role that will own it. */
export const SCHEMA: readonly string[] = [
  'CREATE SCHEMA pprox',
  'CREATE TABLE pprox.version (version integer NOT NULL)',
  `INSERT INTO pprox.version VALUES (${SCHEMA_VERSION})`,
  `CREATE TABLE pprox.decision (
  id uuid PRIMARY KEY,
  committed boolean NOT NULL,
  decided_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
)`,
];

/** What a login role needs that does not own the schema. `role`: quoted. */
export function grants(role: string): readonly string[] {
  return [
    `GRANT USAGE ON SCHEMA pprox TO ${role}`,
    `GRANT SELECT ON pprox.version TO ${role}`,
    `GRANT SELECT, INSERT, DELETE ON pprox.decision TO ${role}`,
  ];
}

/**
 * The decision, in the transaction that it decides, at its end. ON CONFLICT would mask a fence. With synchronous_commit off,
 * a crash of the lead would take a decision back that followers have acted on.
 */
export function decisionText(id: string): string {
  return `SET LOCAL ROLE NONE; SELECT pg_catalog.set_config('synchronous_commit', 'local', true) WHERE pg_catalog.current_setting('synchronous_commit') = 'off'; INSERT INTO pprox.decision (id, committed) VALUES ('${id}', true)`;
}

/** Waits for the transaction that is writing its decision; 23505 where one stands. */
export function fenceText(id: string): string {
  return `INSERT INTO pprox.decision (id, committed) VALUES ('${id}', false)`;
}

/** One row where a decision stands: `t` committed, `f` fenced. */
export function readText(id: string): string {
  return `SELECT committed FROM pprox.decision WHERE id = '${id}'`;
}
