/**
 * The table of decisions on the lead, in SQL: a row is a transaction's decision, committed by the transaction itself or,
 * as a fence, by whoever needs it never to commit. All of it runs as the login role.
 */

/** What this version of pprox works with; `pprox init` makes it. */
export const SCHEMA_VERSION = 3;

/**
 * What became of a transaction that a client was told of by its gid. `unknown`: nothing stands; it is under way, or was given up
 * before its decision, or its decision is older than those that are kept.
 */
const OUTCOME = `CREATE FUNCTION pprox.outcome(gid text) RETURNS text LANGUAGE plpgsql VOLATILE STRICT
SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
  part text[] := regexp_match(gid, '^pprox_([0-9]{1,20})_([0-9]{1,10})_([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})_[0-9]{1,4}$');
  decision boolean;
BEGIN
  IF part IS NULL THEN
    RAISE EXCEPTION 'not the name of a transaction of pprox: %', quote_literal(gid)
      USING ERRCODE = 'invalid_parameter_value', HINT = 'It stands in the DETAIL of the error, and begins with pprox_.';
  END IF;
  IF part[2] <> (SELECT oid::text FROM pg_database WHERE datname = current_database()) THEN
    RAISE EXCEPTION 'that transaction was decided in another database'
      USING ERRCODE = 'invalid_parameter_value',
        DETAIL = format('pg_database.oid of its database is %s; this is %s.', part[2], current_database()),
        HINT = 'Ask in the database that the client was connected to.';
  END IF;
  IF pg_is_in_recovery() THEN
    RAISE EXCEPTION 'a standby may not have the decision yet'
      USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Ask through pprox, or on the lead.';
  END IF;
  SELECT committed INTO decision FROM pprox.decision WHERE id = part[3]::uuid;
  RETURN CASE decision WHEN true THEN 'committed' WHEN false THEN 'rolled back' ELSE 'unknown' END;
END
$body$`;

/** How many transactions of each pprox process have changed definitions, or set sequences: see `definitions.ts`. */
const DEFINITION = `CREATE TABLE pprox.definition (
  process uuid PRIMARY KEY,
  relations bigint NOT NULL,
  objects bigint NOT NULL,
  changed_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
)`;
const SEQUENCES = 'ALTER TABLE pprox.definition ADD COLUMN sequences bigint NOT NULL DEFAULT 0';

const DEFINITION_GRANTS = 'SELECT, INSERT, UPDATE, DELETE ON pprox.definition';

// A function, because its text is in the catalog: SCHEMA_QUERY reads it there, whether or not the schema exists.
const VERSION = `FUNCTION pprox.version() RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT ${SCHEMA_VERSION}'`;

/** Makes schema pprox in a database of the lead. Runs as the role that will own it. */
export const SCHEMA: readonly string[] = [
  'CREATE SCHEMA pprox',
  `CREATE ${VERSION}`,
  `CREATE TABLE pprox.decision (
  id uuid PRIMARY KEY,
  committed boolean NOT NULL,
  decided_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
)`,
  DEFINITION,
  SEQUENCES,
  OUTCOME,
];

/** From each version to the next. Whoever could write decisions before can write definitions then. */
export const UPGRADES: ReadonlyMap<number, readonly string[]> = new Map([
  [
    1,
    [
      DEFINITION,
      `DO $body$ DECLARE grantee oid; BEGIN
  FOR grantee IN SELECT a.grantee FROM pg_catalog.pg_class c, pg_catalog.aclexplode(c.relacl) a
      WHERE c.oid = 'pprox.decision'::regclass AND a.privilege_type = 'INSERT' LOOP
    EXECUTE 'GRANT ${DEFINITION_GRANTS} TO '
      || CASE grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(grantee)) END;
  END LOOP;
END $body$`,
      `CREATE OR REPLACE ${VERSION}`,
    ],
  ],
  [2, [SEQUENCES, `CREATE OR REPLACE ${VERSION}`]],
]);

/** What a login role needs that does not own the schema. `role`: quoted. */
export function grants(role: string): readonly string[] {
  return [
    `GRANT USAGE ON SCHEMA pprox TO ${role}`,
    `GRANT SELECT, INSERT, DELETE ON pprox.decision TO ${role}`,
    `GRANT ${DEFINITION_GRANTS} TO ${role}`,
    `GRANT EXECUTE ON FUNCTION pprox.version(), pprox.outcome(text) TO ${role}`,
  ];
}

/**
 * With synchronous_commit off, a crash of the lead would take a decision back that followers have acted on; any other setting
 * stays. Always true: it is a condition, so that the row and its durability are one statement.
 */
const DURABLE = `CASE WHEN pg_catalog.current_setting('synchronous_commit') OPERATOR(pg_catalog.=) 'off'
  THEN pg_catalog.set_config('synchronous_commit', 'local', true) IS NOT NULL ELSE true END`;

/** `id`: an SQL expression. ON CONFLICT would mask a fence. No name in it is looked for in the client's search_path. */
function rowText(id: string, committed: boolean): string {
  return `INSERT INTO pprox.decision (id, committed) SELECT ${id}::pg_catalog.uuid, ${committed} WHERE ${DURABLE}`;
}

const WRITTEN_ROW = `WITH written AS (${rowText('$1', true)} RETURNING 1)`;
/** What is said of a transaction that reads an older state, and so could not see that it is of an older edition. */
export const OLDER_STATE = 'it reads an older state';
const ONE_ROW = '1 OPERATOR(pg_catalog./) pg_catalog.count(*)';

/** `process`: an SQL expression. The numbers of an edition, as this process counts (`definitions.ts`). */
function editionText(process: string): string {
  return `SELECT coalesce(pg_catalog.sum(relations) FILTER (WHERE process OPERATOR(pg_catalog.<>) ${process}), 0)::pg_catalog.int8 AS relations,
    coalesce(pg_catalog.sum(objects), 0)::pg_catalog.int8 AS objects,
    coalesce(pg_catalog.sum(relations) FILTER (WHERE process OPERATOR(pg_catalog.=) ${process}), 0)::pg_catalog.int8 AS own,
    coalesce(pg_catalog.sum(sequences) FILTER (WHERE process OPERATOR(pg_catalog.<>) ${process}), 0)::pg_catalog.int8 AS sequences
    FROM pprox.definition`;
}

/**
 * The decision of a transaction, with COMMIT right behind it: so it fails where no row is written, be it by somebody's trigger.
 * As the login role, whatever the client has set in its transaction; all of that ends with it. `$1`: the id.
 */
export const DECISION = {
  authorization: 'SET LOCAL SESSION AUTHORIZATION DEFAULT',
  row: `${WRITTEN_ROW} SELECT ${ONE_ROW} FROM written`,
  /** Fails with OTHER_EDITION where definitions have changed. `$2`: the process. `$3`, `$4`: its edition. Sees them in READ COMMITTED alone. */
  rowOfEdition: `${WRITTEN_ROW} SELECT CASE
      WHEN pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.<>) ALL ('{read committed,read uncommitted}')
        THEN pg_catalog.concat('${OLDER_STATE} ', pg_catalog.count(*))::pg_catalog.int4
      WHEN (SELECT relations OPERATOR(pg_catalog.=) $3::pg_catalog.int8 AND objects OPERATOR(pg_catalog.=) $4::pg_catalog.int8
        FROM (${editionText('$2::pg_catalog.uuid')}) AS edition) THEN ${ONE_ROW}
      ELSE pg_catalog.concat('definitions have changed meanwhile ', pg_catalog.count(*))::pg_catalog.int4 END FROM written`,
  /** `$1`: the process. `$2`, `$3`, `$4`: what is added to its numbers. */
  definition: `INSERT INTO pprox.definition AS d (process, relations, objects, sequences)
    VALUES ($1::pg_catalog.uuid, $2::pg_catalog.int8, $3::pg_catalog.int8, $4::pg_catalog.int8) ON CONFLICT (process) DO UPDATE SET
      relations = d.relations OPERATOR(pg_catalog.+) excluded.relations, objects = d.objects OPERATOR(pg_catalog.+) excluded.objects,
      sequences = d.sequences OPERATOR(pg_catalog.+) excluded.sequences, changed_at = pg_catalog.clock_timestamp()`,
  /** One row: what other processes have counted of sequences. `$1`: the process. */
  sequences: `SELECT coalesce(pg_catalog.sum(sequences), 0)::pg_catalog.int8 FROM pprox.definition
    WHERE process OPERATOR(pg_catalog.<>) $1::pg_catalog.uuid`,
} as const;

const AS_LOGIN_ROLE = `${DECISION.authorization}; SET LOCAL ROLE NONE`;

/** A question of the login role's, whatever the client has set; outside a transaction, since one Query is one (manual, "Simple Query"). */
export function asLoginRole(text: string): string {
  return `${AS_LOGIN_ROLE}; ${text}`;
}

const OWN_SAVEPOINT = '"pprox: login role"';

/** Takes the transaction back to where `asLoginRoleWithin` has found it: where it has failed, too. */
export const END_LOGIN_ROLE = `ROLLBACK TO SAVEPOINT ${OWN_SAVEPOINT}; RELEASE SAVEPOINT ${OWN_SAVEPOINT}`;

/** The same in the client's transaction, which is as it was behind it. */
export function asLoginRoleWithin(text: string): string {
  return `SAVEPOINT ${OWN_SAVEPOINT}; ${AS_LOGIN_ROLE}; ${text}; ${END_LOGIN_ROLE}`;
}

/** SQLSTATE of a decision that is of another edition: invalid_text_representation. */
export const OTHER_EDITION = '22P02';

/** The same outside a transaction: of what none can hold. */
export function countText(process: string, changes: 'relations' | 'objects' | 'sequences'): string {
  const added = (what: typeof changes): string => (changes === what ? '1' : '0');
  return DECISION.definition
    .replace('$1', `'${process}'`)
    .replace('$2', added('relations'))
    .replace('$3', added('objects'))
    .replace('$4', added('sequences'));
}

/** In whose row the numbers of processes are that have changed nothing for long. */
const NOBODY = '00000000-0000-0000-0000-000000000000';

/** As many for everybody as before, but for a process that lives: its own are others' then. */
export function foldText(afterMs: number): string {
  return `WITH old AS (DELETE FROM pprox.definition WHERE process <> '${NOBODY}'
      AND changed_at < pg_catalog.clock_timestamp() - interval '${afterMs} milliseconds' RETURNING relations, objects, sequences)
    INSERT INTO pprox.definition AS d (process, relations, objects, sequences)
      SELECT '${NOBODY}', sum(relations), sum(objects), sum(sequences) FROM old HAVING count(*) > 0
    ON CONFLICT (process) DO UPDATE SET relations = d.relations + excluded.relations, objects = d.objects + excluded.objects,
      sequences = d.sequences + excluded.sequences`;
}

/** One row: the numbers of the edition, as everybody sees it. `process`: a UUID. */
export function readEditionText(process: string): string {
  return editionText(`'${process}'::pg_catalog.uuid`);
}

/** One row: the same of sequences alone. */
export function readSequencesText(process: string): string {
  return DECISION.sequences.replace('$1', `'${process}'`);
}

/** Tag of DECISION.row. */
export const DECIDED = 'SELECT 1';

/** NULL where the transaction has written nothing. A read-only one could not write a decision either. */
export const WRITTEN_ANYTHING = 'SELECT pg_catalog.pg_current_xact_id_if_assigned()';

/** Outside a transaction. Waits for the one that is writing its decision; 23505 where one stands. */
export function fenceText(id: string): string {
  return rowText(`'${id}'`, false);
}

/**
 * On the lead, while a fence waits in the session `fence`: ends the session whose undecided row it waits for, where that is of the
 * same role, in no statement, and has been so for `stuckMs`: its coordinator is gone without a word. Its pid and idle ms. What is
 * in a statement may be in COMMIT, and waiting for a standby.
 */
export function endStuckText(fence: number, stuckMs: number): string {
  // Not in a condition: the planner would choose when to ask it.
  return `WITH stuck AS MATERIALIZED (
      SELECT pid, pg_catalog.clock_timestamp() - state_change AS idle FROM pg_catalog.pg_stat_activity
      WHERE pid = ANY (pg_catalog.pg_blocking_pids(${fence})) AND usename = session_user AND state = 'idle in transaction'
        AND state_change < pg_catalog.clock_timestamp() - interval '${stuckMs} milliseconds')
    SELECT pid, (extract(epoch FROM idle) * 1000)::bigint, pg_catalog.pg_terminate_backend(pid) FROM stuck`;
}

/** Tag of a row that was written. */
export const WRITTEN = 'INSERT 0 1';

/** One row where a decision stands: `t` committed, `f` fenced. */
export function readText(id: string): string {
  return `SELECT committed FROM pprox.decision WHERE id = '${id}'`;
}

/** On a follower. */
export function prepareText(gid: string): string {
  return `PREPARE TRANSACTION '${gid}'`;
}

/** Constraints that wait for the end of the transaction speak now. */
export const CHECK = 'SET CONSTRAINTS ALL IMMEDIATE';

/** Assigned where it is not yet; whole, with the epoch. */
export const XID = 'SELECT pg_catalog.pg_current_xact_id()';

export const ROLE_NONE = 'SET LOCAL ROLE NONE';

/** The role of the session: whoever has one set may not end what its login role has prepared. */
export const ROLE = 'SHOW role';

/** Cannot run with another statement in one Query. */
export function finishText(gid: string, decision: 'commit' | 'abort'): string {
  return `${decision === 'commit' ? 'COMMIT' : 'ROLLBACK'} PREPARED '${gid}'`;
}

/** `committed` or `aborted`, once the transaction is over; sound on a follower, where PREPARE has flushed the xid. */
export function proofText(xid: string): string {
  return `SELECT pg_catalog.pg_xact_status('${xid}')`;
}

/**
 * Prepared transactions of pprox on a server: gid, owner, database, age in ms, xid, age in transactions that write. The view
 * has an xid's low half only, and the whole one is the nearest before the next that will be assigned.
 */
export const PREPARED = `SELECT gid, owner, database,
  (extract(epoch FROM pg_catalog.clock_timestamp() - prepared) * 1000)::bigint,
  next - pg_catalog.mod(next - transaction::text::numeric, 4294967296), pg_catalog.age(transaction)
  FROM pg_catalog.pg_prepared_xacts,
    (SELECT pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::text::numeric AS next) AS xids
  WHERE gid LIKE 'pprox\\_%'`;

/** What SQLSTATEs say here. */
export const UNIQUE_VIOLATION = '23505';
export const UNDEFINED_OBJECT = '42704';
export const INSUFFICIENT_PRIVILEGE = '42501';

/** Decisions that are looked at in one go: a few hundred kilobytes of text. */
export const SWEPT_AT_ONCE = 5_000;

/** Ids of decisions that nobody asks for any more, as far as the lead can tell. */
export function oldText(retentionMs: number): string {
  return `SELECT id FROM pprox.decision
    WHERE decided_at < pg_catalog.clock_timestamp() - interval '${retentionMs} milliseconds'
      AND (committed OR pg_catalog.age(xmin) > pg_catalog.age(pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot())::xid))
    LIMIT ${SWEPT_AT_ONCE}`;
}

export function deleteText(ids: readonly string[]): string {
  return `DELETE FROM pprox.decision WHERE id = ANY ('{${ids.join(',')}}')`;
}
