/** What differs between the lead and each follower below one schema: every row of every table, columns, sequences; and large objects. */
import type { Server } from '../../src/embedded/server.ts';
import { sql, withConnection } from '../support/cluster.ts';

interface Sequence {
  readonly name: string;
  readonly last: bigint;
  readonly called: boolean;
  readonly increment: bigint;
}

interface Contents {
  readonly server: string;
  /** Sorted within each table; equal rows stand as often as they are there. */
  readonly lines: readonly string[];
  readonly sequences: readonly Sequence[];
}

/** Rows shown of those that differ, and characters of each. */
const SHOWN_ROWS = 4;
const SHOWN_LENGTH = 240;

/** Descriptions of what differs; none where nothing does. */
export async function differences(
  [lead, ...followers]: readonly Server[],
  schema: string,
  sequences: 'kept ahead' | 'free',
): Promise<readonly string[]> {
  if (lead === undefined) throw new Error('there is a lead');
  const [first, ...others] = await Promise.all([lead, ...followers].map((server) => contents(server, schema)));
  if (first === undefined || others.length === 0) throw new Error('there is something to compare');
  return others.flatMap((other) => [
    ...rowDifferences(first, other),
    ...(sequences === 'free' ? [] : behind(first, other)),
  ]);
}

async function contents(server: Server, schema: string): Promise<Contents> {
  return withConnection(server, undefined, async (client) => {
    const ask = async (text: string): Promise<readonly (readonly string[])[]> =>
      (await client.query<string[]>({ text, rowMode: 'array' })).rows;
    await ask('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
    const relations = await ask(`
      SELECT c.relkind::text, format('%I.%I', n.nspname, c.relname), c.relname::text, s.seqincrement::text
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_sequence s ON s.seqrelid = c.oid
      WHERE n.nspname = '${schema}' AND c.relkind IN ('r', 'm', 'S') AND c.relpersistence <> 't'
      ORDER BY c.relname COLLATE "C"`);
    const lines: string[] = [];
    const found: Sequence[] = [];
    for (const [kind, name = '', short = '', increment = '1'] of relations) {
      if (kind === 'S') {
        for (const [last = '', called] of await ask(`SELECT last_value::text, is_called::text FROM ${name}`))
          found.push({ name: short, last: BigInt(last), called: called === 'true', increment: BigInt(increment) });
        continue;
      }
      const columns = await ask(`
        SELECT attname || ' ' || format_type(atttypid, atttypmod) FROM pg_attribute
        WHERE attrelid = '${name}'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum`);
      lines.push(`${short} has ${columns.join(', ')}`);
      const rows = await ask(
        `SELECT r::text FROM ${kind === 'r' ? 'ONLY ' : ''}${name} r ORDER BY r::text COLLATE "C"`,
      );
      for (const [row] of rows) lines.push(`${short}: ${row}`);
    }
    const objects = await ask('SELECT oid::text, md5(lo_get(oid)) FROM pg_largeobject_metadata ORDER BY oid');
    for (const [oid, digest] of objects) lines.push(`large object ${oid}: ${digest}`);
    return { server: server.name, lines, sequences: found };
  });
}

function rowDifferences(lead: Contents, follower: Contents): readonly string[] {
  return [...surplus(lead, follower), ...surplus(follower, lead)];
}

/** Lines that the one has more often than the other. */
function surplus(one: Contents, other: Contents): readonly string[] {
  const rest = new Map<string, number>();
  for (const line of other.lines) rest.set(line, (rest.get(line) ?? 0) + 1);
  const more = one.lines.filter((line) => {
    const left = rest.get(line) ?? 0;
    rest.set(line, left - 1);
    return left <= 0;
  });
  const shown = more.slice(0, SHOWN_ROWS).map((line) => `only on ${one.server}: ${line.slice(0, SHOWN_LENGTH)}`);
  return more.length > SHOWN_ROWS ? [...shown, `only on ${one.server}: ${more.length - SHOWN_ROWS} more`] : shown;
}

/** Sequences of the follower that may give out once more what the lead has given out. */
function behind(lead: Contents, follower: Contents): readonly string[] {
  return lead.sequences.flatMap((own) => {
    const other = follower.sequences.find(({ name }) => name === own.name);
    if (other === undefined) return [`sequence ${own.name} is not on ${follower.server}`];
    const [due, next] = [upcoming(own), upcoming(other)];
    const safe = own.increment > 0n ? next >= due : next <= due;
    return safe ? [] : [`sequence ${own.name} gives ${due} on ${lead.server} and ${next} on ${follower.server}`];
  });
}

function upcoming({ last, called, increment }: Sequence): bigint {
  return called ? last + increment : last;
}

const PATIENCE_MS = 30_000;

/** A client may have its answer before each follower has committed what it has prepared: waits for that. */
export async function settled(writers: readonly Server[]): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  for (const server of writers) {
    for (;;) {
      const prepared = await sql(server, 'SELECT gid FROM pg_prepared_xacts');
      if (prepared.length === 0) break;
      if (performance.now() > deadline)
        throw new Error(`stays prepared on ${server.name}: ${JSON.stringify(prepared)}`);
    }
  }
}
