/**
 * What a session of the lead begins with, by its server's configuration and by ALTER ROLE and ALTER DATABASE … SET (manual, "Setting
 * Parameters"), and its followers have to begin with as well: the same text would mean something else there.
 */
import type { Backend } from '../backend/backend.ts';
import { PproxError } from '../lib/errors.ts';

/** Settings by which names are found, and values are read, computed and shown. */
const NAMES = [
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

/** An application's own settings (`app.tenant`) are nowhere to be listed but where they were set; what is of role and database counts first. */
const TEXT = `SELECT name, reset_val, 1 FROM pg_catalog.pg_settings WHERE name IN (${NAMES.map((name) => `'${name}'`).join(', ')})
  UNION ALL SELECT split_part(c, '=', 1), substr(c, strpos(c, '=') + 1), CASE WHEN s.setrole = 0 THEN 2 ELSE 4 END + CASE WHEN s.setdatabase = 0 THEN 0 ELSE 1 END
  FROM pg_catalog.pg_db_role_setting s, unnest(s.setconfig) c
  WHERE split_part(c, '=', 1) LIKE '%.%'
    AND s.setrole IN (0, (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = session_user))
    AND s.setdatabase IN (0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()))
  ORDER BY 3`;

const known = new WeakMap<Backend, ReadonlyMap<string, string>>();

/** Asked once for each connection: they are its own for as long as it lives. Rejects with BackendLostError and PproxError. */
export async function defaultsOf(backend: Backend): Promise<ReadonlyMap<string, string>> {
  const found = known.get(backend);
  if (found !== undefined) return found;
  const { rows, error } = await backend.ask(TEXT);
  if (error !== undefined) {
    throw new PproxError('catalog_unreadable', {
      sqlstate: error.code,
      message: `the settings of the lead could not be read: ${error.message}`,
    });
  }
  const defaults = new Map(rows.map(([name, value]) => [name ?? '', value ?? '']));
  known.set(backend, defaults);
  return defaults;
}
