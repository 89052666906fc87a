/**
 * Schema pprox in a database of the lead: whether it is there, of which version, and open to the login role; and the SQL that
 * brings it there. Pure: `pprox init`, `pprox check`, the start and a session's first use ask with it.
 */
import { assert } from '../lib/assert.ts';
import { PproxError } from '../lib/errors.ts';
import { quoteIdentifier } from '../sql/quote.ts';
import { grants, SCHEMA, SCHEMA_VERSION, UPGRADES } from './decisions.ts';

/** One row; for the login role, whatever role the session has taken on. Fails nowhere: it reads the catalog alone. */
export const SCHEMA_QUERY = `SELECT pg_catalog.current_database(), session_user,
  pg_catalog.pg_get_userbyid(n.nspowner), pg_catalog.pg_has_role(session_user, n.nspowner, 'USAGE'),
  (SELECT pg_catalog.substring(prosrc, '[0-9]+') FROM pg_catalog.pg_proc WHERE pronamespace = n.oid AND proname = 'version'),
  pg_catalog.has_schema_privilege(session_user, n.oid, 'USAGE'),
  pg_catalog.has_table_privilege(session_user, d.oid, 'SELECT'),
  pg_catalog.has_table_privilege(session_user, d.oid, 'INSERT'),
  pg_catalog.has_table_privilege(session_user, d.oid, 'DELETE'),
  pg_catalog.has_table_privilege(session_user, f.oid, 'SELECT'),
  pg_catalog.has_table_privilege(session_user, f.oid, 'INSERT'),
  pg_catalog.has_table_privilege(session_user, f.oid, 'UPDATE'),
  pg_catalog.has_table_privilege(session_user, f.oid, 'DELETE'),
  pg_catalog.has_database_privilege(session_user, pg_catalog.current_database(), 'CREATE')
  FROM (SELECT) one LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = 'pprox'
  LEFT JOIN pg_catalog.pg_class d ON d.relnamespace = n.oid AND d.relname = 'decision'
  LEFT JOIN pg_catalog.pg_class f ON f.relnamespace = n.oid AND f.relname = 'definition'`;

/** What SCHEMA_QUERY asks for, in its order. */
const NEEDS = [
  'USAGE ON SCHEMA pprox',
  'SELECT ON pprox.decision',
  'INSERT ON pprox.decision',
  'DELETE ON pprox.decision',
  'SELECT ON pprox.definition',
  'INSERT ON pprox.definition',
  'UPDATE ON pprox.definition',
  'DELETE ON pprox.definition',
];

/** What SCHEMA_QUERY has found. */
export interface SchemaState {
  readonly database: string;
  /** The login role. */
  readonly role: string;
  /** Undefined: there is no such schema. */
  readonly owner: string | undefined;
  readonly owned: 'by the role' | 'by another';
  /** Undefined: no schema, or one that is not of pprox's making. */
  readonly version: number | undefined;
  /** What the role lacks, as GRANT says it; meaningless where there is no schema. */
  readonly missing: readonly string[];
  readonly mayCreate: 'yes' | 'no';
}

export function readSchemaState(rows: readonly (readonly (string | null)[])[]): SchemaState {
  const [row] = rows;
  assert(row !== undefined, 'SCHEMA_QUERY answers one row');
  const [database, role, owner, owned, version, ...has] = row;
  const create = has.pop();
  return {
    database: database ?? '',
    role: role ?? '',
    owner: owner ?? undefined,
    owned: owned === 't' ? 'by the role' : 'by another',
    version: version === null || version === undefined ? undefined : Number(version),
    missing: NEEDS.filter((_, place) => has[place] !== 't'),
    mayCreate: create === 't' ? 'yes' : 'no',
  };
}

/** Why two-phase commit cannot work in the database that SCHEMA_QUERY was asked in; undefined: it can. */
export function schemaProblem(rows: readonly (readonly (string | null)[])[]): PproxError | undefined {
  const state = readSchemaState(rows);
  const database = quoteIdentifier(state.database);
  const init = `bin/pprox init --database ${state.database}`;
  if (state.owner === undefined) {
    return new PproxError('not_initialised', {
      message: `database ${database} of the lead has no schema pprox, which two-phase commit needs`,
      hint: `Run ${init}, or set PPROX_COMMIT_MODE=one-phase.`,
    });
  }
  if (state.version === undefined) return foreignSchema(state);
  if (state.version > SCHEMA_VERSION) return newerSchema(state);
  if (state.version < SCHEMA_VERSION) {
    return new PproxError('not_initialised', {
      message: `schema pprox in database ${database} of the lead has version ${state.version}; this pprox needs version ${SCHEMA_VERSION}`,
      hint: `Run ${init}: it brings the schema up to date.`,
    });
  }
  if (state.missing.length === 0) return undefined;
  return new PproxError('not_initialised', {
    message: `role ${quoteIdentifier(state.role)} may not use schema pprox in database ${database} of the lead`,
    detail: `It lacks ${state.missing.join(', ')}.`,
    hint: `As role ${quoteIdentifier(state.owner)}: bin/pprox init --user ${state.owner} --database ${state.database} --grant ${state.role}`,
  });
}

function foreignSchema({ database, owner }: SchemaState): PproxError {
  return new PproxError('not_initialised', {
    message: `schema pprox in database ${quoteIdentifier(database)} of the lead is not of pprox's making`,
    detail: `It has no function pprox.version(). Its owner is ${quoteIdentifier(owner ?? '')}.`,
    hint: 'Rename or drop it, then run bin/pprox init.',
  });
}

function newerSchema({ database, version }: SchemaState): PproxError {
  return new PproxError('not_initialised', {
    message: `schema pprox in database ${quoteIdentifier(database)} of the lead has version ${version}, which is newer than this pprox knows (${SCHEMA_VERSION})`,
    hint: 'Run a newer pprox here.',
  });
}

export type Installation =
  /** `statements`: for one transaction; none where nothing is to be done. */
  | {
      readonly kind: 'possible';
      readonly work: 'make' | 'upgrade' | 'none';
      readonly statements: readonly string[];
    }
  | { readonly kind: 'refused'; readonly error: PproxError };

/** What brings the schema to this version and opens it to `roles`, given by their names. */
export function planInstallation(state: SchemaState, roles: readonly string[]): Installation {
  const granting = roles.flatMap((role) => grants(quoteIdentifier(role)));
  if (state.owner === undefined) {
    if (state.mayCreate === 'no') return { kind: 'refused', error: mayNotCreate(state) };
    return { kind: 'possible', work: 'make', statements: [...SCHEMA, ...granting] };
  }
  if (state.version === undefined) return { kind: 'refused', error: foreignSchema(state) };
  if (state.version > SCHEMA_VERSION) return { kind: 'refused', error: newerSchema(state) };
  const upgrade: string[] = [];
  for (let version = state.version; version < SCHEMA_VERSION; version++) {
    const step = UPGRADES.get(version);
    if (step === undefined) return { kind: 'refused', error: foreignSchema(state) };
    upgrade.push(...step);
  }
  const statements = [...upgrade, ...granting];
  if (statements.length > 0 && state.owned === 'by another')
    return { kind: 'refused', error: notOwner(state, state.owner) };
  return { kind: 'possible', work: upgrade.length > 0 ? 'upgrade' : 'none', statements };
}

function mayNotCreate({ database, role }: SchemaState): PproxError {
  return new PproxError('not_initialised', {
    message: `role ${quoteIdentifier(role)} may not create a schema in database ${quoteIdentifier(database)} of the lead`,
    detail: 'It needs CREATE on the database, until the schema is made.',
    hint: `As the database's owner or a superuser: GRANT CREATE ON DATABASE ${quoteIdentifier(database)} TO ${quoteIdentifier(role)};`,
  });
}

function notOwner({ database, role }: SchemaState, owner: string): PproxError {
  return new PproxError('not_initialised', {
    message: `schema pprox in database ${quoteIdentifier(database)} of the lead belongs to role ${quoteIdentifier(owner)}, not to ${quoteIdentifier(role)}`,
    hint: `Run it with --user ${owner}.`,
  });
}

/** Publications of the database that the tables of schema pprox are in, one a row. `version`: server_version_num. */
export function publicationQuery(version: number): string {
  const all = 'SELECT pubname, $$FOR ALL TABLES$$ FROM pg_catalog.pg_publication WHERE puballtables';
  if (version < 150_000) return all;
  return `${all} UNION ALL SELECT p.pubname, $$FOR TABLES IN SCHEMA pprox$$ FROM pg_catalog.pg_publication p
    JOIN pg_catalog.pg_publication_namespace m ON m.pnpubid = p.oid
    JOIN pg_catalog.pg_namespace n ON n.oid = m.pnnspid WHERE n.nspname = 'pprox'`;
}

/** Undefined where none would carry decisions to a subscriber, which has no such table: its apply would stop. */
export function publicationProblem(
  database: string,
  rows: readonly (readonly (string | null)[])[],
): PproxError | undefined {
  if (rows.length === 0) return undefined;
  const names = rows.map(([name, what]) => `${quoteIdentifier(name ?? '')} (${what ?? ''})`);
  return new PproxError('not_initialised', {
    message: `database ${quoteIdentifier(database)} of the lead publishes the table of decisions: publication ${names.join(', ')}`,
    detail: 'Subscribers have no such table: their apply would stop at the first transaction.',
    hint: 'Replace it by a publication of a list of tables, or of schemas without pprox (FOR TABLES IN SCHEMA, PostgreSQL 15 and later).',
  });
}

/** max_prepared_transactions of a follower. `slots`: what one pprox process may take there at once. */
export function followerProblem(
  label: string,
  maxPrepared: number,
  slots: number,
): { readonly kind: 'error' | 'warning'; readonly text: string } | undefined {
  const advice = `set it to PPROX_POOL_SIZE times the number of pprox processes (${slots} for one) or more and restart that server, its standbys first`;
  if (maxPrepared === 0) {
    const text = `${label} has max_prepared_transactions = 0, so it cannot take part in two-phase commit: ${advice}, or set PPROX_COMMIT_MODE=one-phase`;
    return { kind: 'error', text };
  }
  if (maxPrepared >= slots) return undefined;
  const text = `${label} has max_prepared_transactions = ${maxPrepared}: more commits at once are refused; ${advice}`;
  return { kind: 'warning', text };
}
