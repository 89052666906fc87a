/**
 * Whether a statement that the lead alone runs, for it is on temporary objects, has changed permanent ones as well: followers are told rows,
 * and no objects. The catalog writes both kinds down in the same tables, whose counts of changes do not say of which kind a change was, and a
 * row that is gone is not there to be asked. So three things are looked at around the statement, together:
 *
 *     rows of one's own about permanent objects     made or altered
 *     which permanent objects there are             whether what is locked and gone was one of them
 *     locks that one has got                        altered, commented or dropped: ALTER, COMMENT and DROP lock the object, or the table that
 *                                                   it belongs to, to the transaction's end (manual, "Explicit Locking")
 */
import type { Answer } from '../backend/receiver.ts';
import { isOwn, MINE } from './captured-rows.ts';

/** Around the statement at hand, in the lead's session. Equal texts where there is no change. */
export interface PermanentObjects {
  /** Those that are there. */
  readonly standing: string;
  /** Of these, those that the transaction has made or altered. */
  readonly own: string;
  /** What is said of those that are there: comments, and parents. */
  readonly said: string;
  /** What the transaction has locked against a change, by a name of the lock; of what is gone, of whichever kind it was. */
  readonly held: ReadonlyMap<string, 'permanent' | 'gone'>;
}

/** What temporary relations and their parts are written down in. */
const OF_RELATIONS: ReadonlySet<string> = new Set(
  `pg_attrdef pg_attribute pg_class pg_constraint pg_depend pg_description pg_index pg_inherits pg_namespace pg_partitioned_table pg_policy pg_rewrite
   pg_sequence pg_shdepend pg_statistic pg_statistic_ext pg_statistic_ext_data pg_trigger pg_type`
    .split(/\s+/)
    .map((name) => `pg_catalog.${name}`),
);

/** By its qualified name. */
export function isOfRelations(table: string): boolean {
  return OF_RELATIONS.has(table);
}

const IS_PERMANENT = "t.nspname NOT LIKE 'pg\\_temp\\_%' AND t.nspname NOT LIKE 'pg\\_toast\\_temp\\_%'";
const PERMANENT_SCHEMA = `(SELECT t.oid FROM pg_catalog.pg_namespace t WHERE ${IS_PERMANENT})`;

const PERMANENT_RELATION = "(SELECT c.oid FROM pg_catalog.pg_class c WHERE c.relpersistence <> 't')";

/** Objects of these tables, and parts of relations, whose own lock may be an older one. */
const OBJECTS = [
  "pg_class t WHERE t.relpersistence <> 't'",
  `pg_type t WHERE t.typrelid = 0 AND t.typnamespace IN ${PERMANENT_SCHEMA}`,
  `pg_namespace t WHERE ${IS_PERMANENT}`,
  `pg_constraint t WHERE t.connamespace IN ${PERMANENT_SCHEMA}`,
  `pg_statistic_ext t WHERE t.stxnamespace IN ${PERMANENT_SCHEMA}`,
  `pg_policy t WHERE t.polrelid IN ${PERMANENT_RELATION}`,
  `pg_trigger t WHERE t.tgrelid IN ${PERMANENT_RELATION}`,
  `pg_rewrite t WHERE t.ev_class IN ${PERMANENT_RELATION}`,
  `pg_attrdef t WHERE t.adrelid IN ${PERMANENT_RELATION}`,
];

/** What is said of them, and is no object: nothing that is locked tells that it is gone. */
const PARTS = {
  'pg_catalog.hashoidextended(t.inhrelid, t.inhparent::bigint)': `pg_inherits t WHERE t.inhrelid IN ${PERMANENT_RELATION}`,
  'pg_catalog.hashoidextended(t.objoid, t.objsubid)': `pg_description t WHERE t.classoid <> 'pg_catalog.pg_class'::pg_catalog.regclass OR t.objoid IN ${PERMANENT_RELATION}`,
} as const;

/** Places of what there is none of are kept: each part of the text is of one kind. */
const inAll = (sums: readonly string[]): string =>
  `pg_catalog.concat_ws(',', ${sums.map((sum) => `coalesce((${sum}), 0)`).join(', ')})`;

const STANDING = inAll(OBJECTS.map((of) => `SELECT sum(pg_catalog.hashoidextended(t.oid, 0)) FROM pg_catalog.${of}`));

const SAID = inAll(Object.entries(PARTS).map(([hash, of]) => `SELECT sum(${hash}) FROM pg_catalog.${of}`));

/** Columns that are there stay there; what is said of them is the transaction's. */
const COLUMNS = `pg_attribute t WHERE t.attrelid IN ${PERMANENT_RELATION}`;

const OWN = inAll(
  [...OBJECTS, ...Object.values(PARTS), COLUMNS].map(
    (of) => `SELECT sum(pg_catalog.hashtextextended(t.ctid::text, 0))
    FROM pg_catalog.${of.replace('t WHERE', `t, (${MINE}) m WHERE ${isOwn('t')} AND (`)})`,
  ),
);

const regclass = (name: string): string => `'pg_catalog.${name}'::pg_catalog.regclass`;

/** Objects that may be temporary ones, by where their schema stands; of others that are there a lock is as good as a change. */
const SCHEMAS = { pg_type: 'typnamespace', pg_constraint: 'connamespace', pg_namespace: 'oid' } as const;

/** Beside these: parts of relations, which are locked with their relations, and what is gone with them. */
const LOCKED_PARTS = ['pg_attrdef', 'pg_policy', 'pg_rewrite', 'pg_statistic_ext', 'pg_trigger'];

const schemaOf = Object.entries(SCHEMAS).map(
  ([table, column]) => `SELECT ${regclass(table)}, t.oid, t.${column} FROM pg_catalog.${table} t`,
);

/** Of relations and of objects which are no relations. */
const HELD =
  `SELECT pg_catalog.concat_ws(' ', l.relation, l.mode), CASE WHEN c.oid IS NULL THEN 'gone' ELSE 'permanent' END
    FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_class c ON c.oid = l.relation
    WHERE l.locktype = 'relation' AND l.relation >= 16384 AND c.relpersistence IS DISTINCT FROM 't' AND IS_HELD
  UNION ALL SELECT pg_catalog.concat_ws(' ', l.classid, l.objid, l.mode), CASE WHEN s.schema IS NULL AND l.classid IN (${[...Object.keys(SCHEMAS), ...LOCKED_PARTS].map(regclass).join(', ')}) THEN 'gone' ELSE 'permanent' END
    FROM pg_catalog.pg_locks l LEFT JOIN (${schemaOf.join(' UNION ALL ')}) s (of, oid, schema) ON s.of = l.classid AND s.oid = l.objid
    WHERE l.locktype = 'object' AND (s.schema IS NULL OR s.schema IN ${PERMANENT_SCHEMA}) AND IS_HELD`.replaceAll(
    'IS_HELD',
    `l.pid = pg_catalog.pg_backend_pid()
    AND l.mode IN ('ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')`,
  );

/** Rows of a kind, a name and a state. */
export const PERMANENT_OBJECTS = `SELECT 'standing', '', ${STANDING} UNION ALL SELECT 'said', '', ${SAID} UNION ALL SELECT 'own', '', ${OWN} UNION ALL SELECT 'held', h.* FROM (${HELD}) h`;

/** Of its rows; undefined where there are none. */
export function permanentObjectsOf(rows: Answer['rows']): PermanentObjects | undefined {
  const texts = new Map<string, string>();
  const held = new Map<string, 'permanent' | 'gone'>();
  for (const [kind, name, state] of rows) {
    if (kind === 'held') held.set(name ?? '', state === 'gone' ? 'gone' : 'permanent');
    else texts.set(kind ?? '', state ?? '');
  }
  const [standing, said, own] = [texts.get('standing'), texts.get('said'), texts.get('own')];
  return standing === undefined || said === undefined || own === undefined ? undefined : { standing, said, own, held };
}

/** Whether any of them was made, altered or dropped in between. In doubt it was. */
export function permanentChanged(
  before: PermanentObjects | undefined,
  after: PermanentObjects | undefined,
): 'unchanged' | 'perhaps changed' {
  if (before === undefined || after === undefined || before.own !== after.own || before.said !== after.said)
    return 'perhaps changed';
  const locked = [...after.held].filter(([name]) => !before.held.has(name)).map(([, state]) => state);
  if (locked.includes('permanent')) return 'perhaps changed';
  return locked.includes('gone') && before.standing !== after.standing ? 'perhaps changed' : 'unchanged';
}
