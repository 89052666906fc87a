/** Random schemas: what a table is, which of them are drawn, and the statements that make one. */
import fc from 'fast-check';
import { quoteEscaped } from '../../src/sql/quote.ts';
import { Random } from '../simulation/random.ts';
import { type ColumnType, expression, SHARED, TYPES, valueText } from './random-columns.ts';

export interface ColumnDraft {
  readonly type: ColumnType;
  readonly presence: 'nullable' | 'not null';
  readonly default: 'none' | 'constant' | 'volatile';
  readonly unique: 'unique' | 'no';
}

const KEYS = [
  'serial',
  'identity always',
  'identity by default',
  'int',
  'unique',
  'composite',
  'uuid',
  'none',
] as const;
const ACTIONS = ['NO ACTION', 'RESTRICT', 'CASCADE', 'SET NULL', 'SET DEFAULT'] as const;

/** A table as it is drawn: parts that do not fit together give way when it is made (`tables`). */
export interface TableDraft {
  readonly key: (typeof KEYS)[number];
  readonly columns: readonly ColumnDraft[];
  readonly shape: 'plain' | 'by hash' | 'by range' | 'inherited';
  readonly generated: 'stored' | 'virtual' | 'none';
  readonly check: 'check' | 'none';
  readonly reference:
    | { readonly to: number; readonly onDelete: string; readonly onUpdate: string; readonly when: string }
    | undefined;
  readonly before: 'stamps' | 'counts' | 'skips' | 'none';
  readonly after: 'audits' | 'audits with serial' | 'none';
  /** Of its literals. */
  readonly seed: number;
}

export interface Draft {
  readonly tables: readonly TableDraft[];
}

/** A column that statements may give values. */
export interface Column {
  readonly name: string;
  readonly type: ColumnType;
  readonly required: 'required' | 'optional';
  readonly role: 'key' | 'reference' | 'value';
}

export interface Table {
  readonly name: string;
  readonly draft: TableDraft;
  /** `id` is the first one of each. */
  readonly columns: readonly Column[];
  /** Columns that an ON CONFLICT may name. */
  readonly conflict: readonly string[] | undefined;
  readonly child: string | undefined;
  /** Whether a foreign key names it. */
  readonly referenced: boolean;
}

const none = 'none' as const;
const column: fc.Arbitrary<ColumnDraft> = fc.record({
  type: fc.constantFrom(...TYPES),
  presence: fc.constantFrom('nullable', 'nullable', 'not null'),
  default: fc.constantFrom(none, none, 'constant', 'volatile'),
  unique: fc.constantFrom('no', 'no', 'no', 'no', 'no', 'unique'),
});

const action = fc.constantFrom(...ACTIONS);
const reference = fc.record({
  to: fc.nat(3),
  onDelete: action,
  onUpdate: action,
  when: fc.constantFrom('', '', ' DEFERRABLE', ' DEFERRABLE INITIALLY DEFERRED'),
});

const table: fc.Arbitrary<TableDraft> = fc.record({
  key: fc.constantFrom(...KEYS),
  columns: fc.array(column, { minLength: 1, maxLength: 6 }),
  shape: fc.constantFrom('plain', 'plain', 'plain', 'plain', 'plain', 'by hash', 'by range', 'inherited'),
  generated: fc.constantFrom(none, none, none, 'stored', 'virtual'),
  check: fc.constantFrom(none, none, 'check'),
  reference: fc.option(reference, { nil: undefined, freq: 1 }),
  before: fc.constantFrom(none, none, none, none, none, none, 'stamps', 'counts', 'skips'),
  after: fc.constantFrom(none, none, none, none, none, 'audits', 'audits with serial'),
  seed: fc.noShrink(fc.nat()),
});

export const drafts: fc.Arbitrary<Draft> = fc.record({
  tables: fc.noBias(fc.array(table, { minLength: 1, maxLength: 4 })),
});

export function tablesOf(draft: Draft): readonly Table[] {
  return draft.tables.map((one, index): Table => {
    const values = one.columns.map(
      ({ type, presence, default: given }, at): Column => ({
        name: `c${at}`,
        type,
        required: presence === 'not null' && given === none ? 'required' : 'optional',
        role: 'value',
      }),
    );
    const drawn = ['serial', 'identity always', 'identity by default'].includes(one.key);
    const id: Column = { name: 'id', type: 'int', required: drawn ? 'optional' : 'required', role: 'key' };
    const grp: Column = { name: 'grp', type: 'text', required: 'required', role: 'key' };
    const parent: Column = { name: 'parent', type: 'int', required: 'optional', role: 'reference' };
    return {
      name: `t${index}`,
      draft: one,
      columns: [
        id,
        ...(one.key === 'composite' ? [grp] : []),
        ...values,
        ...(referenceOf(draft, index) === undefined ? [] : [parent]),
      ],
      conflict: conflictOf(one),
      referenced: draft.tables.some((_, from) => referenceOf(draft, from) === index),
      child: one.shape === 'inherited' ? `t${index}_child` : undefined,
    };
  });
}

function conflictOf({ key, shape }: TableDraft): readonly string[] | undefined {
  if (key === 'none') return undefined;
  if (key === 'composite') return ['id', 'grp'];
  return key === 'uuid' && shape.startsWith('by') ? undefined : ['id'];
}

/** The table that this one's foreign key names: itself or an earlier one, where `id` alone is unique. */
function referenceOf(draft: Draft, index: number): number | undefined {
  const { reference: wanted } = draft.tables[index] ?? {};
  if (wanted === undefined) return undefined;
  const to = wanted.to % (index + 1);
  const key = draft.tables[to]?.key;
  return key === undefined || ['none', 'composite', 'uuid'].includes(key) ? undefined : to;
}

/** Rows of each table at first. */
export const FIRST_ROWS = 12;

/** The statements that make the schema and its first rows. `major`: of the oldest server. */
export function definitions(draft: Draft, major: number): readonly string[] {
  return [...SHARED, ...tablesOf(draft).flatMap((one, index) => define(draft, one, index, major))];
}

function define(draft: Draft, { name, columns, child }: Table, index: number, major: number): readonly string[] {
  const one = draft.tables[index];
  if (one === undefined) return [];
  const random = new Random(one.seed);
  const parted = one.shape === 'by hash' || one.shape === 'by range';
  const parts = [...keyParts(one, parted)];
  for (const [at, given] of one.columns.entries()) {
    const value = (): string => `${quoteEscaped(valueText(given.type, random))}::${given.type}`;
    const otherwise = { none: '', constant: ` DEFAULT ${value()}`, volatile: '' }[given.default];
    const varying =
      given.default === 'volatile' ? ` DEFAULT ${expression(given.type, `c${at}`, 'volatile', random)}` : '';
    parts.push(`c${at} ${given.type}${given.presence === 'not null' ? ' NOT NULL' : ''}${otherwise}${varying}`);
    if (given.unique === 'unique' && ['text', 'uuid', 'numeric', 'float8'].includes(given.type))
      parts.push(parted ? `UNIQUE (c${at}, id)` : `UNIQUE (c${at})`);
  }
  const to = referenceOf(draft, index);
  if (to !== undefined && one.reference !== undefined) {
    const { onDelete, onUpdate, when } = one.reference;
    parts.push(`parent int DEFAULT 1 REFERENCES t${to} (id) ON DELETE ${onDelete} ON UPDATE ${onUpdate}${when}`);
  }
  if (one.generated !== none && !(one.generated === 'virtual' && major < 18))
    parts.push(`g int GENERATED ALWAYS AS (id * 2) ${one.generated.toUpperCase()}`);
  if (one.check === 'check') parts.push('CHECK (id > -5)', 'CHECK (c0 IS NULL OR length(c0::text) < 200)');
  if (one.before === 'stamps') parts.push('stamp timestamptz');
  if (one.before === 'counts') parts.push('times int DEFAULT 0');
  const by =
    one.shape === 'by hash' ? ' PARTITION BY HASH (id)' : one.shape === 'by range' ? ' PARTITION BY RANGE (id)' : '';
  return [
    `CREATE TABLE ${name} (${parts.join(', ')})${by}`,
    ...partitions(name, one.shape),
    ...(one.key === 'serial' ? [`ALTER SEQUENCE ${name}_id_seq RESTART 1000`] : []),
    ...(child === undefined ? [] : [`CREATE TABLE ${child} (extra int) INHERITS (${name})`]),
    firstRows(name, columns, random, to === index),
    ...triggers(name, one),
  ];
}

const KEY_PARTS: Readonly<Record<TableDraft['key'], readonly string[]>> = {
  serial: ['id serial PRIMARY KEY'],
  'identity always': ['id int GENERATED ALWAYS AS IDENTITY (START WITH 1000) PRIMARY KEY'],
  'identity by default': ['id int GENERATED BY DEFAULT AS IDENTITY (START WITH 1000 CACHE 5) PRIMARY KEY'],
  int: ['id int PRIMARY KEY'],
  unique: ['id int NOT NULL UNIQUE'],
  composite: ['id int', 'grp text', 'PRIMARY KEY (grp, id)'],
  uuid: ['u uuid PRIMARY KEY DEFAULT gen_random_uuid()', 'id int NOT NULL UNIQUE'],
  none: ['id int'],
};

/** A partitioned table has no identity before 17, and its key holds what it is parted by. */
const PARTED_KEY_PARTS: Partial<typeof KEY_PARTS> = {
  'identity always': ["id int PRIMARY KEY DEFAULT nextval('extra')::int"],
  'identity by default': ["id int PRIMARY KEY DEFAULT nextval('extra')"],
  uuid: ['u uuid DEFAULT gen_random_uuid()', 'id int', 'PRIMARY KEY (u, id)'],
};

function keyParts({ key }: TableDraft, parted: boolean): readonly string[] {
  return (parted ? PARTED_KEY_PARTS[key] : undefined) ?? KEY_PARTS[key];
}

function partitions(name: string, shape: TableDraft['shape']): readonly string[] {
  if (shape === 'by hash')
    return [0, 1].map(
      (at) => `CREATE TABLE ${name}_p${at} PARTITION OF ${name} FOR VALUES WITH (MODULUS 2, REMAINDER ${at})`,
    );
  if (shape !== 'by range') return [];
  return [
    `CREATE TABLE ${name}_low PARTITION OF ${name} FOR VALUES FROM (MINVALUE) TO (8)`,
    `CREATE TABLE ${name}_mid PARTITION OF ${name} FOR VALUES FROM (8) TO (40)`,
    `CREATE TABLE ${name}_rest PARTITION OF ${name} DEFAULT`,
  ];
}

function firstRows(name: string, columns: readonly Column[], random: Random, toItself: boolean): string {
  const rows = Array.from({ length: FIRST_ROWS }, (_, index) =>
    columns.map(({ name: column, type, role }) => {
      if (column === 'id') return String(index + 1);
      if (column === 'grp') return `'${['a', 'b'][index % 2]}'`;
      if (role === 'reference') return toItself ? '1' : String(1 + random.below(FIRST_ROWS));
      // What is unique must stay so.
      const distinct: Partial<Record<ColumnType, string>> = {
        text: `'first ${index}'`,
        uuid: `'00000000-0000-4000-9000-0000000000${index + 10}'`,
        numeric: `${index}.50`,
        float8: `${index}.25`,
      };
      return distinct[type] ?? `${quoteEscaped(valueText(type, random))}::${type}`;
    }),
  );
  const listed = columns.map((column) => column.name).join(', ');
  return `INSERT INTO ${name} (${listed}) OVERRIDING SYSTEM VALUE VALUES ${rows.map((row) => `(${row.join(', ')})`).join(', ')}`;
}

const BEFORE = {
  stamps: 'NEW.stamp := clock_timestamp(); RETURN NEW;',
  counts: 'NEW.times := coalesce(NEW.times, 0) + 1; RETURN NEW;',
  skips: 'IF NEW.id % 17 = 3 THEN RETURN NULL; END IF; RETURN NEW;',
} as const;

function triggers(name: string, { before, after }: TableDraft): readonly string[] {
  const made: string[] = [];
  if (before !== none)
    made.push(
      `CREATE FUNCTION ${name}_before() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ${BEFORE[before]} END $$`,
      `CREATE TRIGGER early BEFORE INSERT OR UPDATE ON ${name} FOR EACH ROW EXECUTE FUNCTION ${name}_before()`,
    );
  if (after !== none) {
    const columns = after === 'audits' ? '' : 'place serial PRIMARY KEY, at timestamptz DEFAULT clock_timestamp(), ';
    made.push(
      `CREATE TABLE ${name}_log (${columns}op text, id int)`,
      `CREATE FUNCTION ${name}_after() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN INSERT INTO ${name}_log (op, id) VALUES (TG_OP, CASE TG_OP WHEN 'DELETE' THEN OLD.id ELSE NEW.id END); RETURN NULL; END $$`,
      `CREATE TRIGGER late AFTER INSERT OR UPDATE OR DELETE ON ${name} FOR EACH ROW EXECUTE FUNCTION ${name}_after()`,
    );
  }
  return made;
}
