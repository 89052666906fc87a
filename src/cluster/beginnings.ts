/**
 * What a server session begins with, by its server's configuration, by ALTER ROLE and ALTER DATABASE … SET, and by what it was started with
 * (manual, "Setting Parameters"). Followers' have to begin as the lead's: the same text would mean something else there.
 */
import type { Backend } from '../backend/backend.ts';
import type { OwnStatement } from '../backend/own-message.ts';
import { type Answer, rowsOf } from '../backend/receiver.ts';
import { PproxError } from '../lib/errors.ts';

/** Settings by which names are found, and values are read, computed and shown. */
const NAMES = [
  'DateStyle',
  'IntervalStyle',
  'TimeZone',
  'array_nulls',
  'backslash_quote',
  'bytea_output',
  'default_text_search_config',
  'extra_float_digits',
  'row_security',
  'search_path',
  'standard_conforming_strings',
  'transform_null_equals',
  'xmlbinary',
  'xmloption',
];

/** When the server session read its configuration last: each for itself, in front of the message that it gets next. */
const LOADED_TEXT = 'extract(epoch FROM pg_catalog.pg_conf_load_time())::text';
const LOADED: OwnStatement = { name: 'pprox: configuration', text: `SELECT ${LOADED_TEXT}` };

const PLAIN = `SELECT name, reset_val, ${LOADED_TEXT} FROM pg_catalog.pg_settings WHERE name IN (${NAMES.map((name) => `'${name}'`).join(', ')})`;

/**
 * An application's own settings (`app.tenant`) are nowhere to be listed but where they were set. What is there by now need not have been when
 * the session began: it has the value. What a loaded library makes of its own is left to it, where not everybody may set that.
 */
const CUSTOM = `SELECT name, value FROM (
    SELECT name, CASE WHEN NOT EXISTS (SELECT FROM pg_catalog.pg_settings g WHERE g.name = n.name AND g.context <> 'user')
      THEN pg_catalog.current_setting(name, true) END
    FROM (SELECT DISTINCT split_part(c, '=', 1) FROM pg_catalog.pg_db_role_setting s, unnest(s.setconfig) c
      WHERE split_part(c, '=', 1) LIKE '%.%'
        AND s.setrole IN (0, (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = session_user))
        AND s.setdatabase IN (0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()))) n (name)
  ) v (name, value) WHERE value IS NOT NULL`;

export interface Beginning {
  /** By the servers' names. */
  readonly values: ReadonlyMap<string, string>;
  /** Equal for equal ones. */
  readonly key: string;
}

const known = new WeakMap<Backend, Known>();
/** When a server session of this server was asked last whether it has read its configuration again, by performance.now(). */
const asked = new WeakMap<object, number>();

interface Known {
  readonly beginning: Beginning;
  readonly custom: readonly (readonly [string, string])[];
  readonly loadedAt: string | undefined;
  /** A reload of the configuration changes it in a server session that is there already, but for what that was started with. */
  readonly state: 'of now' | 'before a reload';
}

export function knownBeginning(backend: Backend): Beginning | undefined {
  const found = known.get(backend);
  return found?.state === 'of now' ? found.beginning : undefined;
}

/**
 * Asked once for each connection, behind its start-up, when nothing has been set in it: later where it was refused then, and behind a reload.
 * Rejects with BackendLostError and PproxError.
 */
export async function beginningOf(backend: Backend): Promise<Beginning> {
  const before = known.get(backend);
  if (before?.state === 'of now') return before.beginning;
  const [plain, custom] = await Promise.all([
    backend.ask(PLAIN),
    before?.custom ?? backend.ask(CUSTOM).then((answer) => pairs(answer)),
  ]);
  const values = new Map([...pairs(plain), ...custom]);
  const key = [...values]
    .map(([name, value]) => `${name}\0${value}`)
    .sort()
    .join('\0\0');
  const beginning = { values, key };
  known.set(backend, { beginning, custom, loadedAt: plain.rows[0]?.[2] ?? undefined, state: 'of now' });
  return beginning;
}

/** What it has begun with has to be asked for again. */
export function outdate(backend: Backend): void {
  const found = known.get(backend);
  if (found !== undefined) known.set(backend, { ...found, state: 'before a reload' });
}

/**
 * Whether it has read its configuration again since it was asked what it begins with: as it was less than `FRESH_MS` ago, at least, on any
 * connection to `server`, all of which are told of a reload at once. Rejects with
 * BackendLostError, and PproxError where it cannot be asked.
 */
export async function hasReloaded(
  server: object,
  backend: Backend,
  how: 'aside' | 'in a transaction',
): Promise<'no' | 'yes'> {
  const found = known.get(backend);
  if (found === undefined) return 'no';
  if (found.state === 'before a reload') return 'yes';
  const now = performance.now();
  if (now - (asked.get(server) ?? -Infinity) < FRESH_MS) return 'no';
  asked.set(server, now);
  const answer = await (how === 'aside' ? backend.aside(LOADED.text) : backend.askOwn(LOADED));
  // Where it fails the lead's transaction has failed: nothing of it may be committed.
  const [[loadedAt] = []] = rowsOf(answer);
  return loadedAt === found.loadedAt ? 'no' : 'yes';
}

/** A question for each of many short transactions would take as much as a tenth of their time. */
const FRESH_MS = 20;

function pairs({ rows, error }: Answer): (readonly [string, string])[] {
  if (error === undefined) return rows.map(([name, value]) => [name ?? '', value ?? '']);
  throw new PproxError('catalog_unreadable', {
    sqlstate: error.code,
    message: `the settings of a server could not be read: ${error.message}`,
  });
}

/**
 * By name, the first that a follower's session has begun with otherwise than the lead's. What only the lead lists was told to the follower; `given`: what both were, by
 * the client.
 */
export function difference(
  lead: Beginning,
  follower: Beginning,
  given: ReadonlyMap<string, string>,
): string | undefined {
  if (lead.key === follower.key) return undefined;
  for (const [name, value] of follower.values) if (lead.values.get(name) !== value && !given.has(name)) return name;
  return undefined;
}
