/** `pprox init`: makes schema pprox on the lead, showing its SQL, and looks whether the followers can prepare transactions. */
import { ConnectError } from '../backend/connect.ts';
import { BackendLostError } from '../backend/receiver.ts';
import {
  planInstallation,
  publicationProblem,
  publicationQuery,
  readSchemaState,
  SCHEMA_QUERY,
} from '../commit/schema.ts';
import { SCHEMA_VERSION } from '../commit/decisions.ts';
import type { Config, Dsn } from '../config/config.ts';
import { describe, type Environment } from '../config/dsn.ts';
import { defaultPassfile, findPassword, readPassfile } from '../config/passfile.ts';
import { lookAtFollower, readMaxPrepared, tell, type Visit, visit } from './readiness.ts';

export interface InitOptions {
  /** Instead of the DSN's. */
  readonly user: string | undefined;
  /** Instead of the DSN's. */
  readonly databases: readonly string[];
  /** Other login roles that the schema is to be open to. */
  readonly roles: readonly string[];
  readonly mode: 'run' | 'dry run';
}

/** Where the output goes: SQL and comments, so that what a dry run prints can be run by hand; and problems. */
export interface InitOutput {
  readonly sql: (line: string) => void;
  readonly problem: (text: string) => void;
}

/**
 * Answers with the exit status: 0 where two-phase commit can work now, 1 where something is missing, 2 where the DSN and the
 * options do not say who logs in where.
 */
export async function runInit(
  config: Config,
  options: InitOptions,
  environment: Environment,
  output: InitOutput,
): Promise<number> {
  const [lead, ...followers] = config.writers;
  const user = options.user ?? lead.user;
  if (user === undefined) {
    output.problem("the lead's DSN names no user: say with --user who is to own the schema");
    return 2;
  }
  const databases =
    options.databases.length > 0 ? options.databases : lead.database === undefined ? [] : [lead.database];
  if (databases.length === 0) {
    output.problem("the lead's DSN names no database: name with --database each one that clients write to");
    return 2;
  }
  const results: ('done' | 'failed')[] = [];
  for (const database of databases) {
    const account = { user, database, password: passwordFor(lead, user, database, environment) };
    const label = `lead ${describe({ ...lead, database })}`;
    const work = (there: Visit) => install(there, label, options, output);
    results.push(await reached(output, label, () => visit(lead, account, config.settings, work)));
  }
  for (const dsn of followers) {
    const itsUser = dsn.user ?? user;
    const database = dsn.database ?? databases[0] ?? itsUser;
    const account = { user: itsUser, database, password: passwordFor(dsn, itsUser, database, environment) };
    const label = `follower ${describe(dsn)}`;
    const work = async (there: Visit): Promise<'done' | 'failed'> => {
      const maxPrepared = await readMaxPrepared(there);
      output.sql(`-- ${label}: max_prepared_transactions = ${maxPrepared}`);
      const { errors, warnings } = await lookAtFollower(label, there, maxPrepared, config.settings.poolSize);
      for (const text of [...errors, ...warnings]) output.problem(text);
      return errors.length === 0 ? 'done' : 'failed';
    };
    results.push(await reached(output, label, () => visit(dsn, account, config.settings, work)));
  }
  return results.includes('failed') ? 1 : 0;
}

async function reached(
  output: InitOutput,
  label: string,
  work: () => Promise<'done' | 'failed'>,
): Promise<'done' | 'failed'> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof ConnectError) && !(error instanceof BackendLostError)) throw error;
    output.problem(`${label}: ${error.message}`);
    return 'failed';
  }
}

/** In the database of that connection, in one transaction. Rejects with BackendLostError. */
export async function install(
  { backend, identity }: Visit,
  label: string,
  options: Pick<InitOptions, 'roles' | 'mode'>,
  output: InitOutput,
): Promise<'done' | 'failed'> {
  if (identity.recovery === 'standby') {
    output.problem(`${label} is in recovery: a standby cannot be a writer`);
    return 'failed';
  }
  const state = readSchemaState((await backend.ask(SCHEMA_QUERY)).rows);
  const published = await backend.ask(publicationQuery(identity.version));
  const publication = publicationProblem(state.database, published.rows);
  if (publication !== undefined) {
    output.problem(tell(publication));
    return 'failed';
  }
  const plan = planInstallation(state, options.roles);
  if (plan.kind === 'refused') {
    output.problem(tell(plan.error));
    return 'failed';
  }
  output.sql(`-- ${label}, as ${state.role}`);
  if (plan.work === 'none') output.sql(`-- schema pprox, version ${SCHEMA_VERSION}, is there already`);
  if (plan.statements.length === 0) return 'done';
  for (const statement of ['BEGIN', ...plan.statements, 'COMMIT']) {
    output.sql(`${statement};`);
    if (options.mode === 'dry run') continue;
    const { error, tags } = await backend.ask(statement);
    if (error === undefined && (statement !== 'COMMIT' || tags.at(-1) === 'COMMIT')) continue;
    output.problem(`${label}: ${error?.message ?? 'the transaction was rolled back'}. Nothing was changed.`);
    return 'failed';
  }
  if (options.mode === 'dry run') output.sql('-- dry run: nothing was changed');
  return 'done';
}

/** The DSN's, where it is for that user; else as libpq finds it. */
function passwordFor(dsn: Dsn, user: string, database: string, environment: Environment): Dsn['password'] {
  if (dsn.password !== undefined && dsn.user === user) return dsn.password;
  if (environment['PGPASSWORD']) return environment['PGPASSWORD'];
  const path = environment['PGPASSFILE'] || defaultPassfile(environment);
  const file = path === undefined ? undefined : readPassfile(path);
  return file?.kind === 'text'
    ? findPassword(file.text, { host: dsn.host, port: dsn.port, database, user })
    : undefined;
}
