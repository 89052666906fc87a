/** Whether the writers hold the same data and the same definitions, read from each of them directly. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Server } from '../../src/embedded/server.ts';
import { dump, sql } from '../support/cluster.ts';

const isOurs = `n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast', 'pprox') AND n.nspname !~ '^pg_(toast_)?temp_'`;

/** What `dump` leaves out: everything that is not a table's own. One line of text for each thing, by name, never by OID. */
const definitions = `
  SELECT line FROM (
    SELECT format('function %s %s %s', p.oid::regprocedure, md5(p.prosrc), p.proacl) AS line
      FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE ${isOurs}
    UNION ALL SELECT format('%s %s %s %s', c.relkind, c.oid::regclass, pg_get_viewdef(c.oid), c.relacl)
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE ${isOurs} AND c.relkind IN ('v', 'm', 'p', 'c', 'f')
    UNION ALL SELECT format('trigger %s', pg_get_triggerdef(t.oid)) FROM pg_trigger t WHERE NOT t.tgisinternal
    UNION ALL SELECT format('rule %s', pg_get_ruledef(r.oid)) FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class
      JOIN pg_namespace n ON n.oid = c.relnamespace WHERE ${isOurs}
    UNION ALL SELECT format('type %s %s %s', t.oid::regtype, t.typtype, t.typacl)
      FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE ${isOurs}
    UNION ALL SELECT format('label %s %s %s', e.enumtypid::regtype, e.enumsortorder, e.enumlabel) FROM pg_enum e
    UNION ALL SELECT format('default %s.%s %s', d.adrelid::regclass, d.adnum, pg_get_expr(d.adbin, d.adrelid)) FROM pg_attrdef d
      JOIN pg_class c ON c.oid = d.adrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE ${isOurs}
    UNION ALL SELECT format('comment %s %s', pg_describe_object(d.classoid, d.objoid, d.objsubid), d.description)
      FROM pg_description d WHERE d.objoid >= 16384
    UNION ALL SELECT format('policy %s %s %s', p.polrelid::regclass, p.polname, pg_get_expr(p.polqual, p.polrelid)) FROM pg_policy p
    UNION ALL SELECT format('schema %I %s', n.nspname, n.nspacl) FROM pg_namespace n WHERE ${isOurs}
    UNION ALL SELECT format('setting %s', r.setconfig) FROM pg_db_role_setting r
      WHERE r.setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
    UNION ALL SELECT format('statistics %s', pg_get_statisticsobjdef(s.oid)) FROM pg_statistic_ext s
    UNION ALL SELECT format('publication %s %s', p.pubname, p.puballtables) FROM pg_publication p
  ) everything ORDER BY line COLLATE "C"`;

/** Roles are the whole server's, so other databases' tests make and drop their own meanwhile: only this database's are read. */
async function contents(server: Server, database: string): Promise<string[]> {
  const tables = await dump(server, database, { sequences: 'left out' });
  const rest = await sql(server, definitions, database);
  return [...tables.split('\n'), ...rest.map((row) => String(row['line']))];
}

const SETTINGS_OF_ROLES = `SELECT coalesce(string_agg(format('setting of %s %s', a.rolname, r.setconfig), ', ' ORDER BY a.rolname), '') AS line
  FROM pg_db_role_setting r JOIN pg_roles a ON a.oid = r.setrole WHERE r.setdatabase = 0`;

/** These are the whole server's as well: other databases' tests may be changing them. What differs does so for good. */
async function compareSettingsOfRoles(writers: readonly Server[]): Promise<string[]> {
  const deadline = performance.now() + SETTLED_MS;
  for (;;) {
    const found = await Promise.all(
      writers.map(async (server) => String((await sql(server, SETTINGS_OF_ROLES))[0]?.['line'])),
    );
    if (found.every((line) => line === found[0])) return [];
    if (performance.now() > deadline) return found.map((line, index) => `${writers[index]?.name ?? ''}: ${line}`);
    await sleep(20);
  }
}

/** Far longer than a test takes from one writer's change to the other's. */
const SETTLED_MS = 10_000;

/** A line for each thing that a writer has otherwise than the lead; none where all agree. */
export async function compareWriters(writers: readonly Server[], database: string): Promise<string[]> {
  return [...(await compareDatabase(writers, database)), ...(await compareSettingsOfRoles(writers))];
}

async function compareDatabase(writers: readonly Server[], database: string): Promise<string[]> {
  const [lead, ...followers] = await Promise.all(
    writers.map(async (server) => ({ name: server.name, lines: await contents(server, database) })),
  );
  if (lead === undefined) return ['there is no writer to compare'];
  return followers.flatMap(({ name, lines }) => [
    ...lead.lines.filter((line) => !lines.includes(line)).map((line) => `on ${lead.name} only: ${line}`),
    ...lines.filter((line) => !lead.lines.includes(line)).map((line) => `on ${name} only: ${line}`),
    ...(lines.length === lead.lines.length
      ? []
      : [`${lines.length} lines on ${name}, ${lead.lines.length} on ${lead.name}`]),
  ]);
}
