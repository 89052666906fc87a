/** Random changes of a random schema: a transaction follows from the schema and a number. */
import { createHash } from 'node:crypto';
import { quoteEscaped } from '../../src/sql/quote.ts';
import { Random } from '../simulation/random.ts';
import type { Command } from './case.ts';
import { type ColumnType, expression, valueText } from './random-columns.ts';
import type { Column, Table } from './random-schema.ts';

/** Where literals go: into the text, or into parameters of the extended protocol. */
interface Place {
  readonly random: Random;
  readonly values: string[] | undefined;
  /** Whether to draw what gives each server another value, defaults among it: several changes at once are refused with it. */
  readonly varying: 'drawn' | 'no';
}

export interface Drawn {
  readonly commands: readonly Command[];
  readonly begin: string;
}

const BEGINS = [
  ...Array.from({ length: 8 }, () => 'BEGIN'),
  'BEGIN ISOLATION LEVEL REPEATABLE READ',
  'BEGIN ISOLATION LEVEL SERIALIZABLE',
] as const;

/** `major`: of the oldest server. */
export function transaction(tables: readonly Table[], seed: number, major: number): Drawn {
  const random = new Random(seed);
  const begin = random.pick(BEGINS);
  const commands = Array.from({ length: random.whole(1, 3) }, (): Command => {
    const values = random.chance(0.3) ? [] : undefined;
    const text = statement({ random, values, varying: 'drawn' }, tables, major);
    if (values === undefined) return text;
    if (values.length === 0) return text;
    return random.chance(0.3) ? { text, values, name: nameOf(text) } : { text, values };
  });
  return { commands, begin };
}

/** The same name for the same text alone. */
function nameOf(text: string): string {
  return `s${createHash('md5').update(text).digest('hex').slice(0, 16)}`;
}

function statement(place: Place, tables: readonly Table[], major: number): string {
  const { random } = place;
  const table = random.pick(tables);
  const other = random.pick(tables);
  const luck = random.next();
  if (luck < 0.3) return insert(place, table, other);
  if (luck < 0.68) return update(place, table, other);
  if (luck < 0.8) return remove(place, table, other);
  const calm: Place = { ...place, varying: 'no' };
  // Where a column's default varies MERGE is refused, whatever it does.
  const mergeable = !varies(table) || random.chance(0.1);
  if (luck < 0.87 && major >= 15 && mergeable) return merge(random.chance(0.1) ? place : calm, table, other);
  if (luck < 0.92) return several(calm, table, other);
  if (luck < 0.96) return program({ ...place, values: undefined }, table, other);
  if (table.child !== undefined) return childInsert(place, table);
  return `SELECT count(*), min(id) FROM ${table.name} WHERE ${condition(place, table, other)}`;
}

function literal({ random, values }: Place, type: ColumnType): string {
  const text = valueText(type, random);
  if (values === undefined) return `${quoteEscaped(text)}::${type}`;
  values.push(text);
  return `$${values.length}::${type}`;
}

function number({ random, values }: Place, low: number, high: number): string {
  const text = String(random.whole(low, high));
  if (values === undefined) return text;
  values.push(text);
  return `$${values.length}::int`;
}

/** What an INSERT may give the column. */
function fresh(place: Place, { name, type, role, required }: Column): string {
  const { random } = place;
  if (name === 'id') return number(place, 1, 400);
  if (name === 'grp') return quoteEscaped(random.pick(['a', 'b', 'c']));
  if (role === 'reference') return random.chance(0.3) ? 'NULL' : number(place, 1, 14);
  if (required === 'optional' && random.chance(0.1)) return random.chance(0.5) ? 'DEFAULT' : 'NULL';
  // Beyond what others give: most columns are not unique, and some are.
  if (type === 'text' && random.chance(0.5)) return literalOf(place, `w${random.below(1_000_000)}`, 'text');
  if (type === 'numeric' || type === 'float8') return literalOf(place, String(random.below(1_000_000) / 100), type);
  if (random.chance(0.15)) return expression(type, '', 'volatile', random);
  return literal(place, type);
}

function literalOf({ values }: Place, text: string, type: ColumnType): string {
  if (values === undefined) return `${quoteEscaped(text)}::${type}`;
  values.push(text);
  return `$${values.length}::${type}`;
}

function insertColumns({ random }: Place, { columns, draft }: Table): readonly Column[] {
  return columns.filter(({ name, required }) => {
    if (required === 'required') return true;
    if (name === 'id' && draft.key === 'identity always') return random.chance(0.1);
    return random.chance(name === 'id' ? 0.3 : 0.6);
  });
}

/** GENERATED ALWAYS takes a value of the client's only so. */
function overriding({ draft }: Table, columns: readonly Column[]): string {
  return draft.key === 'identity always' && columns.some(({ name }) => name === 'id') ? ' OVERRIDING SYSTEM VALUE' : '';
}

function insert(place: Place, table: Table, other: Table): string {
  const { random } = place;
  const columns = insertColumns(place, table);
  const into = `INSERT INTO ${table.name} ${columns.length === 0 ? '' : `(${columns.map(({ name }) => name).join(', ')})`}`;
  if (columns.length === 0) return `${into} DEFAULT VALUES${returning(place, table)}`;
  const head = `${into}${overriding(table, columns)}`;
  const conflict = onConflict(place, table);
  if (random.chance(0.3)) {
    const list = columns.map((column) => selected(place, column));
    const source = `SELECT ${list.join(', ')} FROM ${other.name} s WHERE ${condition(place, other, table, 's')}`;
    const tail = random.chance(0.5) ? ` ORDER BY s.id LIMIT ${random.whole(1, 4)}` : '';
    return `${head} ${source}${tail}${conflict}${returning(place, table)}`;
  }
  const rows = Array.from({ length: random.chance(0.7) ? 1 : random.whole(2, 4) }, () =>
    columns.map((column) => fresh(place, column)),
  );
  return `${head} VALUES ${rows.map((row) => `(${row.join(', ')})`).join(', ')}${conflict}${returning(place, table)}`;
}

/** What an INSERT of rows of a query gives the column. */
function selected(place: Place, column: Column): string {
  const { random } = place;
  if (column.name === 'id') return random.chance(0.7) ? `s.id + ${random.whole(1, 900)}` : 's.id';
  if (column.role !== 'value') return fresh(place, column);
  if (column.type === 'text') return random.chance(0.5) ? "'from ' || s.id" : 'md5(random()::text)';
  if (column.type === 'int') return random.chance(0.5) ? 's.id * 2' : '(random() * 50)::int';
  return random.chance(0.2) ? expression(column.type, '', 'volatile', random) : literal(place, column.type);
}

function onConflict(place: Place, table: Table): string {
  const { random } = place;
  const { conflict, columns } = table;
  if (random.chance(0.4)) return random.chance(0.3) ? ' ON CONFLICT DO NOTHING' : '';
  if (conflict === undefined || random.chance(0.3)) return ' ON CONFLICT DO NOTHING';
  const changed = columns.filter(({ role }) => role === 'value');
  const one = random.pick(changed);
  const set = random.chance(0.6)
    ? `${one.name} = EXCLUDED.${one.name}`
    : `${one.name} = ${expression(one.type, `${table.name}.${one.name}`, random.chance(0.8) ? 'stable' : 'volatile', random)}`;
  return ` ON CONFLICT (${conflict.join(', ')}) DO UPDATE SET ${set}`;
}

function returning({ random }: Place, { name, columns }: Table): string {
  if (random.chance(0.6)) return '';
  return random.chance(0.5) ? ' RETURNING *' : ` RETURNING ${name}.${random.pick(columns).name}, ${name}.id + 1 AS n`;
}

/** Which rows: by the key, a range, a value, or what other rows say. `alias`: of the table itself. */
function condition(place: Place, table: Table, other: Table, alias = table.name): string {
  const { random } = place;
  const id = `${alias}.id`;
  switch (random.below(9)) {
    case 0:
    case 1:
      return `${id} = ${number(place, 1, 14)}`;
    case 2: {
      const low = random.whole(1, 10);
      return `${id} BETWEEN ${low} AND ${low + 4}`;
    }
    case 3:
      return `${id} > ${number(place, 300, 1100)}`;
    case 4: {
      const { name, type } = random.pick(table.columns);
      return random.chance(0.4) ? `${alias}.${name} IS NULL` : `${alias}.${name} = ${literal(place, type)}`;
    }
    case 5:
      return `${id} IN (SELECT o.id FROM ${other.name} o WHERE o.id % 5 = ${random.below(5)})`;
    case 6:
      return `${id} IN (SELECT o.id FROM ${table.name} o ORDER BY o.id DESC LIMIT ${random.whole(1, 3)})`;
    case 7:
      return `${id} = (SELECT ${random.pick(['min', 'max'])}(o.id) FROM ${other.name} o)`;
    default:
      return `${id} % 7 = ${number(place, 0, 6)} AND ${id} < 100`;
  }
}

function assignments(place: Place, { columns, draft }: Table, own: string, others: readonly string[]): string {
  const { random } = place;
  const values = columns.filter(({ role }) => role === 'value');
  const chosen = new Set(Array.from({ length: random.whole(1, 2) }, () => random.pick(values)));
  const parts = [...chosen].map(({ name, type, required }) => {
    if (type === 'int' && others.length > 0 && random.chance(0.6)) return `${name} = ${random.pick(others)}`;
    if (random.chance(0.35)) return `${name} = ${expression(type, `${own}.${name}`, 'stable', random)}`;
    if (place.varying === 'drawn' && random.chance(0.3)) return `${name} = ${expression(type, '', 'volatile', random)}`;
    if (required === 'optional' && random.chance(0.15)) return `${name} = DEFAULT`;
    return `${name} = ${literal(place, type)}`;
  });
  const reference = columns.find(({ role }) => role === 'reference');
  if (reference !== undefined && random.chance(0.2)) parts.push(`parent = ${number(place, 1, 14)}`);
  if (draft.key !== 'identity always' && random.chance(0.06)) parts.push(`id = ${own}.id + 2000`);
  return parts.join(', ');
}

function update(place: Place, table: Table, other: Table): string {
  const { random } = place;
  const { name } = table;
  if (random.chance(0.2)) {
    const set = assignments(place, table, 't', ['s.id', 's.n']);
    const source = random.chance(0.5)
      ? `(SELECT id, id % 9 AS n FROM ${other.name}) s WHERE s.id = t.id AND ${condition(place, table, other, 't')}`
      : `(VALUES (${number(place, 1, 14)}, 4), (${number(place, 1, 14)}, 5)) AS s (id, n) WHERE s.id = t.id`;
    return `UPDATE ${name} t SET ${set} FROM ${source}`;
  }
  const from = [`(SELECT count(*) FROM ${other.name})::int`, `(SELECT max(id) % 50 FROM ${other.name})`];
  const set = assignments(place, table, name, random.chance(0.4) ? from : []);
  if (random.chance(0.12)) {
    const lock = random.chance(0.5) ? ' FOR UPDATE SKIP LOCKED' : '';
    return `UPDATE ${name} SET ${set} WHERE id IN (SELECT id FROM ${name} WHERE id > 2 LIMIT 2${lock})${returning(place, table)}`;
  }
  const only = table.child !== undefined && random.chance(0.3) ? 'ONLY ' : '';
  return `UPDATE ${only}${name} SET ${set} WHERE ${condition(place, table, other)}${returning(place, table)}`;
}

function remove(place: Place, table: Table, other: Table): string {
  const { random } = place;
  if (random.chance(0.25))
    return `DELETE FROM ${table.name} USING ${other.name} s WHERE s.id = ${table.name}.id AND s.id % 11 = ${random.below(11)}`;
  // Tables are to keep rows.
  if (random.chance(0.3)) return `DELETE FROM ${table.name} WHERE ${condition(place, table, other)} AND id % 3 = 0`;
  return `DELETE FROM ${table.name} WHERE id = ${number(place, 1, 60)}${returning(place, table)}`;
}

function merge(place: Place, table: Table, other: Table): string {
  const { random } = place;
  const source = random.chance(0.5)
    ? `(VALUES (${number(place, 1, 14)}), (${number(place, 15, 400)})) AS s (id)`
    : `(SELECT id FROM ${other.name} WHERE id BETWEEN 3 AND 5) AS s`;
  const matched = random.chance(0.75) ? `UPDATE SET ${assignments(place, table, 't', ['s.id'])}` : 'DELETE';
  const missing = random.chance(0.7) ? mergeInsert(place, table) : 'DO NOTHING';
  return `MERGE INTO ${table.name} t USING ${source} ON t.id = s.id WHEN MATCHED THEN ${matched} WHEN NOT MATCHED THEN ${missing}`;
}

function mergeInsert(place: Place, table: Table): string {
  // A default that varies is refused there.
  const given = table.columns.filter(({ name, required }, index) => {
    const own = table.draft.columns[index - (table.draft.key === 'composite' ? 2 : 1)];
    return name === 'id' || required === 'required' || own?.default === 'volatile';
  });
  const texts = given.map((column) => (column.name === 'id' ? 's.id' : plain(place, column)));
  const how = table.draft.key === 'identity always' ? ' OVERRIDING SYSTEM VALUE' : '';
  return `INSERT (${given.map(({ name }) => name).join(', ')})${how} VALUES (${texts.join(', ')})`;
}

function plain(place: Place, { name, type }: Column): string {
  return name === 'grp' ? "'a'" : literal(place, type);
}

function varies({ draft }: Table): boolean {
  const drawn = ['serial', 'identity always', 'identity by default', 'uuid'].includes(draft.key);
  return drawn || draft.columns.some(({ default: given }) => given === 'volatile');
}

/** Several writes below WITH. */
function several(place: Place, table: Table, other: Table): string {
  const { random } = place;
  const first = random.chance(0.5)
    ? `UPDATE ${table.name} SET ${assignments(place, table, table.name, [])} WHERE id = ${number(place, 1, 14)} RETURNING id`
    : `DELETE FROM ${table.name} WHERE id = ${number(place, 1, 60)} RETURNING id`;
  const value = assignments(place, other, 'o', []);
  const second = random.chance(0.5)
    ? `UPDATE ${other.name} o SET ${value} WHERE o.id IN (SELECT id + 1 FROM w)`
    : `UPDATE ${other.name} o SET ${value} WHERE o.id = ${number(place, 1, 14)}`;
  return `WITH w AS (${first}) ${second}`;
}

/** A block that chooses its rows itself, and may take some of it back. Of tables with keys: of others followers cannot be told which rows are gone. */
function program(place: Place, table: Table, other: Table): string {
  const { random } = place;
  const keyed = [table, other].filter(({ draft }) => draft.key !== 'none');
  if (keyed.length === 0) return remove(place, table, other);
  const some = (name: string, many: number): string =>
    `id IN (SELECT id FROM ${name} WHERE id % 7 = ${random.below(7)} ORDER BY random() LIMIT ${many})`;
  const step = (): string => {
    const one = random.pick(keyed);
    const luck = random.next();
    if (luck < 0.5) return `DELETE FROM ${one.name} WHERE ${some(one.name, 2)};`;
    if (luck < 0.8)
      return `UPDATE ${one.name} SET ${assignments(place, one, one.name, [])} WHERE ${some(one.name, 2)};`;
    return `${insert({ ...place, varying: 'drawn' }, one, other).replace(/ RETURNING .*$/, '')};`;
  };
  const steps = Array.from({ length: random.whole(1, 3) }, step).join(' ');
  const tried = `BEGIN ${step()} IF random() < 0.5 THEN RAISE EXCEPTION USING ERRCODE = 'P0001'; END IF; EXCEPTION WHEN raise_exception THEN ${step()} END;`;
  return `DO $program$ BEGIN ${steps} ${random.chance(0.2) ? tried : ''} END $program$`;
}

function childInsert(place: Place, table: Table): string {
  const columns = table.columns.filter(({ name, required }) => name === 'id' || required === 'required');
  const list = columns.map((column) => fresh(place, column));
  return `INSERT INTO ${table.child} (${columns.map(({ name }) => name).join(', ')}, extra)${overriding(table, columns)} VALUES (${list.join(', ')}, 1)`;
}
