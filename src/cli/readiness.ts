/** What servers must have for two-phase commit: found out by `pprox check`, at the start, and before `pprox init` changes anything. */
import type { Backend } from '../backend/backend.ts';
import { ConnectError, connectBackend } from '../backend/connect.ts';
import { guard } from '../backend/guard.ts';
import { createLogin } from '../backend/login.ts';
import { BackendLostError } from '../backend/receiver.ts';
import { type Identity, identify } from '../cluster/identity.ts';
import {
  followerProblem,
  publicationProblem,
  publicationQuery,
  readSchemaState,
  SCHEMA_QUERY,
  schemaProblem,
} from '../commit/schema.ts';
import { UNPREPARABLE_QUERY, unpreparable } from '../commit/unpreparable.ts';
import type { Config, Dsn, Settings } from '../config/config.ts';
import { describe } from '../config/dsn.ts';
import type { PproxError } from '../lib/errors.ts';

export interface Findings {
  /** What keeps two-phase commit from working. */
  readonly errors: readonly string[];
  readonly warnings: readonly string[];
}

export interface Visit {
  readonly backend: Backend;
  readonly identity: Identity;
}

/** A role or database may have defaults that would be in the way. */
const PARAMETERS: ReadonlyMap<string, string> = new Map([
  ['application_name', 'pprox: setup'],
  ['client_encoding', 'UTF8'],
  ['default_transaction_read_only', 'off'],
]);

/**
 * `work` on a connection of its own, past any pool, closed at its end; what a server owes for longer than followers may is
 * given up. Rejects with ConnectError or BackendLostError.
 */
export async function visit<T>(
  dsn: Dsn,
  account: Pick<Dsn, 'password'> & { readonly user: string; readonly database: string },
  settings: Settings,
  work: (there: Visit) => Promise<T>,
): Promise<T> {
  const login = createLogin(account.user, account.database, account.password, PARAMETERS);
  const options = {
    address: { host: dsn.host, port: dsn.port },
    user: login.user,
    password: login.password,
    parameters: login.parameters,
    keepAliveMs: undefined,
    tls: dsn.tls,
  };
  const backend = await connectBackend(options, dsn.connectTimeoutMs ?? settings.connectTimeoutMs);
  const watchdog = guard([backend], settings.followerTimeoutMs);
  try {
    return await work({ backend, identity: await identify(backend) });
  } finally {
    watchdog.clear();
    backend.close('idle');
  }
}

/** Message, DETAIL and HINT a line each. */
export function tell({ message, detail, hint }: PproxError): string {
  return [message, detail, hint].filter((part) => part !== undefined).join('\n    ');
}

/** Rejects with BackendLostError. */
export async function lookAtLead({ backend, identity }: Visit): Promise<Findings> {
  const { rows } = await backend.ask(SCHEMA_QUERY);
  const problem = schemaProblem(rows);
  const published = await backend.ask(publicationQuery(identity.version));
  const publication = publicationProblem(readSchemaState(rows).database, published.rows);
  return {
    errors: problem === undefined ? [] : [tell(problem)],
    warnings: publication === undefined ? [] : [tell(publication)],
  };
}

/** Triggers are those of the database of that connection. Rejects with BackendLostError. */
export async function lookAtFollower(
  label: string,
  { backend }: Visit,
  maxPrepared: number,
  poolSize: number,
): Promise<Findings> {
  const problem = followerProblem(label, maxPrepared, poolSize);
  const { rows, error } = await backend.ask(UNPREPARABLE_QUERY);
  const triggers =
    error === undefined
      ? unpreparable(label, rows)
      : [`${label}: its triggers could not be looked at: ${error.message}`];
  return {
    errors: problem?.kind === 'error' ? [problem.text] : [],
    warnings: [...(problem?.kind === 'warning' ? [problem.text] : []), ...triggers],
  };
}

/** Rejects with BackendLostError. */
export async function readMaxPrepared({ backend }: Visit): Promise<number> {
  const { rows } = await backend.ask('SHOW max_prepared_transactions');
  return Number(rows[0]?.[0] ?? 0);
}

/**
 * Looks at every writer as its DSN's user. Servers that cannot be reached, and DSNs that leave the user or the lead's database
 * to the client, are passed over: what is wrong there is found at the first use.
 */
export async function findReadiness(config: Config): Promise<Findings> {
  const { settings } = config;
  const [lead, ...followers] = config.writers;
  if (settings.commitMode === 'one-phase' || followers.length === 0) return { errors: [], warnings: [] };
  const found = await Promise.all([
    lead.database === undefined ? NOTHING : visited(lead, settings, lookAtLead),
    ...followers.map((dsn) =>
      visited(dsn, settings, async (there) =>
        lookAtFollower(`follower ${describe(dsn)}`, there, await readMaxPrepared(there), settings.poolSize),
      ),
    ),
  ]);
  return { errors: found.flatMap(({ errors }) => errors), warnings: found.flatMap(({ warnings }) => warnings) };
}

const NOTHING: Findings = { errors: [], warnings: [] };

async function visited(dsn: Dsn, settings: Settings, look: (there: Visit) => Promise<Findings>): Promise<Findings> {
  const { user, password } = dsn;
  if (user === undefined) return NOTHING;
  try {
    return await visit(dsn, { user, password, database: dsn.database ?? 'postgres' }, settings, look);
  } catch (error) {
    if (!(error instanceof ConnectError) && !(error instanceof BackendLostError)) throw error;
    return NOTHING;
  }
}
