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

/** With synchronous_commit off, a crash of the lead would take a decision back that followers have acted on. */
const DURABLE = `SELECT pg_catalog.set_config('synchronous_commit', 'local', true)
  WHERE pg_catalog.current_setting('synchronous_commit') = 'off'`;

/**
 * The decision, at the end of the transaction that it decides: what a client has set there ends with it. ON CONFLICT would
 * mask a fence.
 */
export function decisionText(id: string): string {
  return `SET LOCAL ROLE NONE; ${DURABLE}; INSERT INTO pprox.decision (id, committed) VALUES ('${id}', true)`;
}

/** Outside a transaction. Waits for the one that is writing its decision; 23505 where one stands. */
export function fenceText(id: string): string {
  return `${DURABLE}; INSERT INTO pprox.decision (id, committed) VALUES ('${id}', false)`;
}

/** Tag of a row that was written. */
export const WRITTEN = 'INSERT 0 1';

/** One row where a decision stands: `t` committed, `f` fenced. */
export function readText(id: string): string {
  return `SELECT committed FROM pprox.decision WHERE id = '${id}'`;
}

/** On a follower: its transaction's xid, by which it can be asked for later, and PREPARE, as the login role. */
export function prepareText(gid: string): string {
  return `SET CONSTRAINTS ALL IMMEDIATE; SET LOCAL ROLE NONE; SELECT pg_catalog.pg_current_xact_id(); PREPARE TRANSACTION '${gid}'`;
}

/** The role that the session is left with: whoever has one set may not end what its login role has prepared. */
export const ROLE = 'SHOW role';

/** Cannot run with another statement in one Query. */
export function finishText(gid: string, decision: 'commit' | 'abort'): string {
  return `${decision === 'commit' ? 'COMMIT' : 'ROLLBACK'} PREPARED '${gid}'`;
}

/** `committed` or `aborted`, once the transaction is over; sound on a follower, where PREPARE has flushed the xid. */
export function proofText(xid: string): string {
  return `SELECT pg_catalog.pg_xact_status('${xid}')`;
}

/** Prepared transactions of pprox on a server: gid, owner, database, age in ms. */
export const PREPARED = `SELECT gid, owner, database,
  (extract(epoch FROM pg_catalog.clock_timestamp() - prepared) * 1000)::bigint
  FROM pg_catalog.pg_prepared_xacts WHERE gid LIKE 'pprox\\_%'`;

/** What SQLSTATEs say here. */
export const UNIQUE_VIOLATION = '23505';
export const UNDEFINED_OBJECT = '42704';
