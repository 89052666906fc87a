/**
 * Row plans: what the lead is asked to return, and what the followers do with it.
 *
 *     INSERT  the whole row, as stored          INSERT INTO t (…) OVERRIDING SYSTEM VALUE VALUES (…), (…)
 *     UPDATE  a key, and what SET has given     UPDATE t SET c = v.c2 FROM (VALUES (…), (…)) AS v (c1, c2) WHERE t.id = v.c1
 *     DELETE  a key                             DELETE FROM t USING (VALUES (…), (…)) AS v (c1) WHERE t.id = v.c1
 *
 * Behind that come the other columns where triggers may have changed them: those are compared, not sent.
 */
import type { Column, Table } from '../cluster/table.ts';
import type { PproxError } from '../lib/errors.ts';
import { qualified, quoteIdentifier } from '../sql/quote.ts';
import type { InsertCommand, ModifyCommand, Modification, QualifiedName } from '../sql/statement.ts';
import { type Effects, notReplayable, type RowPlan } from './plan.ts';
import { shown } from './shown-column.ts';

/** Why the rows are needed, and what else is to be known of the statement. */
export interface Why {
  readonly reason: string;
  /** Whether a volatile function of the user's is called. */
  readonly calls: 'none' | 'volatile function';
  /** Whether the same text would do as well, triggers aside. */
  readonly text: 'the same effect' | 'another effect';
  readonly times: RowPlan['times'];
}

function otherwise({ calls, text }: Why): RowPlan['otherwise'] {
  return calls !== 'none' || text === 'the same effect' ? 'same text' : 'rows';
}

/** Or the refusal (`not_replayable`) where there is none. */
export function insertPlan(
  command: InsertCommand,
  table: Table,
  why: Why,
  guarded: 'hidden by policies' | 'shown by its conflict' = 'hidden by policies',
): RowPlan | PproxError {
  const { reason, times } = why;
  const effects: Effects = why.calls === 'none' ? 'in the text' : 'hidden';
  if (command.hasWritingWith) return notReplayable(`INSERT with ${reason} and a WITH that writes`);
  if (table.kind !== 'r' && table.kind !== 'p')
    return notReplayable(`INSERT with ${reason} into something that is not a table`);
  if (table.rules === 'some') return notReplayable(`INSERT with ${reason} into a table with rules`);
  // DO UPDATE needs the right to SELECT for the columns of its conflict: policies for that are passed, or it fails, with RETURNING and without.
  const shows = command.hasReturning || (guarded === 'shown by its conflict' && command.onConflict === 'update');
  if (table.policies !== 'none' && !shows) {
    return notReplayable(
      `INSERT with ${reason} under row-level security`,
      'Add RETURNING to the statement: what it stores has to be read back, which policies may not allow.',
    );
  }
  // A trigger may give any of them another value.
  const left = (one: Column): boolean => !one.insertable && table.triggers === 'none' && isConstant(one);
  const columns = table.columns.filter((one) => one.generated === '' && !left(one));
  const ungiven = columns.find(({ insertable }) => !insertable);
  if (ungiven !== undefined) {
    return notReplayable(
      `INSERT with ${reason}`,
      `Grant INSERT on column ${ungiven.name}: followers have to be given what it is on the lead.`,
    );
  }
  const hidden = columns.find(({ selectable }) => !selectable);
  if (hidden !== undefined) {
    return notReplayable(
      `INSERT with ${reason}`,
      `Grant SELECT on column ${hidden.name}: its stored value has to be read back.`,
    );
  }
  const inexact = columns.find(({ exact }) => !exact);
  if (inexact !== undefined) {
    return notReplayable(
      `INSERT with ${reason}, column ${inexact.name} being read back with loss`,
      'Set extra_float_digits to 1 or more, array_nulls to on, and for arrays and domains of dates DateStyle to ISO; or give the value in the statement.',
    );
  }
  const names = columns.map(({ name }) => quoteIdentifier(name));
  const conflict = conflictClause(command, table, names);
  if (typeof conflict !== 'string') return conflict;
  const prefix = `INSERT INTO ${named(command.target)} (${names.join(', ')}) OVERRIDING SYSTEM VALUE VALUES `;
  return {
    kind: 'rows',
    rule: reason,
    returning: returning(command.target, command, columns),
    columns,
    sent: columns.length,
    keyed: 0,
    prefix,
    casts: [],
    direct:
      table.triggers === 'some' && table.deferred === 'none'
        ? { sent: columns.length, prefix, casts: [], suffix: conflict }
        : undefined,
    suffix:
      conflict + (table.triggers === 'some' ? ` RETURNING ${columns.map((column) => shown(column)).join(', ')}` : ''),
    verb: 'INSERT 0',
    batch: batchOf(table.together.referring.filter((one) => isGiven(command, table, one))),
    rows: table.triggers === 'some' ? 'compared' : 'not compared',
    client: command.hasReturning ? 'rows' : 'no rows',
    effects: table.triggers === 'some' ? 'hidden' : effects,
    stored: storedByInsert(table),
    otherwise: otherwise(why),
    times,
  };
}

/** Where an INSERT itself stores rows: a trigger alone puts them in tables that inherit. */
export function storedByInsert({ kind, stored }: Table): readonly string[] {
  return kind === 'r' ? stored.slice(0, 1) : stored;
}

/** ON CONFLICT calls the row that was to be inserted `excluded`. */
function named(target: QualifiedName): string {
  return target.name === 'excluded' ? `${qualified(target)} AS t` : qualified(target);
}

/** A row that ON CONFLICT DO UPDATE has changed on the lead exists on the follower under the same key. */
function conflictClause(command: InsertCommand, table: Table, names: readonly string[]): string | PproxError {
  if (command.onConflict !== 'update') return '';
  const kept = table.keys.find((columns) => !columns.some((name) => command.conflictColumns.includes(name)));
  if (kept === undefined) return notReplayable('INSERT … ON CONFLICT DO UPDATE without a key that stays as it is');
  const key = kept.map(quoteIdentifier);
  // A GENERATED ALWAYS identity takes nothing but DEFAULT in an UPDATE: where the client leaves it, it has its value already.
  const always = table.columns.filter(({ identity }) => identity === 'a').map(({ name }) => name);
  if (command.conflictColumns.some((name) => always.includes(name))) {
    return notReplayable('INSERT … ON CONFLICT DO UPDATE of an identity column');
  }
  // What the role may not update it has not.
  const alike = table.columns.filter(
    (column) => !column.updatable || (kept.includes(column.name) && writtenOneWay(column)),
  );
  const given = new Set(command.conflictColumns.map(quoteIdentifier));
  const fixed = new Set([...alike.map(({ name }) => name), ...always].map(quoteIdentifier));
  // Whoever gives a column its own value computes anew what is generated of it, by a function that may be another one since.
  const changed = (name: string): boolean => table.triggers === 'some' || given.has(name);
  const givable = names.filter((name) => !fixed.has(name));
  const some = givable.filter(changed);
  // Of a generated column alone: DO NOTHING would not count the row.
  const assigned = (some.length > 0 ? some : givable).map((name) => `${name} = EXCLUDED.${name}`);
  return assigned.length === 0
    ? ` ON CONFLICT (${key.join(', ')}) DO NOTHING`
    : ` ON CONFLICT (${key.join(', ')}) DO UPDATE SET ${assigned.join(', ')}`;
}

export interface Target {
  readonly command: ModifyCommand;
  readonly modification: Modification;
  readonly name: QualifiedName;
  readonly table: Table;
}

/** For an UPDATE or DELETE whose rows can be told by a key that stays; else why not. */
export function modifyPlan(
  { command, modification, name, table }: Target,
  why: Why,
): RowPlan | { readonly kind: 'impossible'; readonly why: string } {
  const { reason, times } = why;
  const effects: Effects = why.calls === 'none' ? 'in the text' : 'hidden';
  const obstacle = findObstacle(command, modification, table);
  if (obstacle !== undefined) return { kind: 'impossible', why: obstacle };
  const byName = new Map(table.columns.map((column) => [column.name, column]));
  const columnsOf = (names: readonly string[]): Column[] => names.flatMap((one) => byName.get(one) ?? []);
  const { assigned } = modification;
  const [key] = table.keys
    .filter((names) => !names.some((one) => assigned.includes(one)))
    .map(columnsOf)
    .filter((columns) => columns.every(({ exact, selectable }) => exact && selectable));
  if (key === undefined) return { kind: 'impossible', why: 'no key that stays as it is tells its rows' };
  const given = columnsOf(assigned).filter(({ generated }) => generated === '');
  const lost = given.find(({ exact, selectable, identity }) => !exact || !selectable || identity === 'a');
  if (lost !== undefined)
    return { kind: 'impossible', why: `column ${lost.name} cannot be read back, or be given a value` };
  const fired = table.triggers === 'some';
  const sent = [...key, ...given];
  const others = fired ? table.columns.filter((one) => one.selectable && !sent.includes(one)) : [];
  const columns = [...sent, ...others.filter(givable), ...others.filter((one) => !givable(one))];
  const update = command.statement === 'update';
  const back = ` RETURNING ${columns.map((column) => shown(column, 't')).join(', ')}`;
  // `rewritten`: columns of the key, which triggers may have given an equal value that is written in another way.
  const texts = (values: readonly Column[], rewritten: readonly Column[]): NonNullable<RowPlan['direct']> => {
    const all = [...key, ...values];
    const place = (column: Column): string => `c${all.indexOf(column) + 1}`;
    const target = `${modification.only ? 'ONLY ' : ''}${qualified(name)} AS t`;
    const set = [...rewritten, ...values]
      .map((column) => `${quoteIdentifier(column.name)} = v.${place(column)}`)
      .join(', ');
    const where = key.map((column) => `t.${quoteIdentifier(column.name)} = v.${place(column)}`).join(' AND ');
    return {
      sent: all.length,
      prefix: update ? `UPDATE ${target} SET ${set} FROM (VALUES ` : `DELETE FROM ${target} USING (VALUES `,
      casts: all.map(({ base }) => `::${base}`),
      suffix: `) AS v (${all.map(place).join(', ')}) WHERE ${where}`,
    };
  };
  const planned = texts(given, []);
  const rewritten = update ? key.filter((column) => !writtenOneWay(column)) : [];
  return {
    kind: 'rows',
    rule: reason,
    returning: returning(name, command, columns),
    columns,
    ...planned,
    suffix: fired ? planned.suffix + back : planned.suffix,
    keyed: key.length,
    verb: update ? 'UPDATE' : 'DELETE',
    batch: given.some((column) => table.ordered.includes(column.name))
      ? 'one row'
      : batchOf(update ? table.together.all.filter((one) => assigned.includes(one)) : table.together.referring),
    rows: fired ? 'compared' : 'not compared',
    client: command.hasReturning ? 'rows' : 'no rows',
    effects: fired || cascades(modification, table) ? 'hidden' : effects,
    stored: table.stored,
    direct:
      fired && whole(table, key) ? texts(update ? [...given, ...others.filter(givable)] : [], rewritten) : undefined,
    otherwise: otherwise(why),
    times,
  };
}

/** The first release whose MERGE takes RETURNING (manual, "MERGE"). */
const MERGE_RETURNS = 17;

/**
 * For a MERGE that deletes nothing, leaves a key as it is and sets off no trigger: its rows take the place of those with their
 * keys, or are new. Undefined where that is not so.
 */
export function mergePlan(
  { command, name, table }: Omit<Target, 'modification'>,
  major: number,
  { reason, calls, times }: Why,
): RowPlan | undefined {
  const { merged } = command;
  const columns = table.columns.filter(({ generated }) => generated === '');
  if (merged === undefined || merged.deletes === 'some' || major < MERGE_RETURNS) return undefined;
  if (table.kind !== 'r' && table.kind !== 'p') return undefined;
  const guarded = table.rules !== 'none' || table.policies !== 'none' || table.children === 'some';
  const fires = table.triggers === 'some' || (merged.assigned.length > 0 && cascades(merged, table));
  if (guarded || command.hasWritingWith || fires) return undefined;
  const usable = ({ exact, selectable, insertable, updatable }: Column): boolean =>
    exact && selectable && insertable && updatable;
  if (!columns.every(usable)) return undefined;
  const key = table.keys.find((names) => !names.some((one) => merged.assigned.includes(one)));
  if (key === undefined || columns.some((one) => one.identity === 'a' && merged.assigned.includes(one.name)))
    return undefined;
  const names = columns.map((column) => quoteIdentifier(column.name)).join(', ');
  return {
    kind: 'rows',
    rule: reason,
    returning: returning(name, command, columns),
    columns,
    sent: columns.length,
    keyed: 0,
    prefix: `INSERT INTO ${named(name)} (${names}) OVERRIDING SYSTEM VALUE VALUES `,
    casts: [],
    suffix: takingPlaceOf(columns, key, merged.assigned),
    verb: 'INSERT 0',
    // Of two rows that exchange what is unique in them, the order counts.
    batch: merged.assigned.some((one) => table.ordered.includes(one)) ? 'one row' : batchOf(table.together.all),
    rows: 'not compared',
    client: command.hasReturning ? 'rows' : 'no rows',
    effects: calls === 'none' ? 'in the text' : 'hidden',
    stored: table.stored,
    direct: undefined,
    otherwise: calls === 'none' ? 'rows' : 'same text',
    times,
  };
}

/** Where the order of rows does not count. `together`: columns that are given values, or go, and are looked at when all rows are done. */
export function batchOf(together: readonly string[]): RowPlan['batch'] {
  return together.length > 0 ? 'all rows' : 'many rows';
}

/** Whether what an INSERT leaves out of it is the same on every server. */
function isConstant({ default: text, identity }: Column): boolean {
  return (
    identity === '' &&
    (text === null ||
      /^('([^']|'')*'(::[\w ".]+(\(\d+(,\d+)?\))?)?|-?[\d.]+|true|false|NULL::[\w ".]+(\(\d+(,\d+)?\))?)$/.test(text))
  );
}

/** Whether an INSERT gives the column a value. */
function isGiven({ columns, width }: InsertCommand, table: Table, name: string): boolean {
  const listed = columns ?? table.columns.slice(0, width ?? table.columns.length).map((column) => column.name);
  return listed.includes(name) || table.columns.some((column) => column.name === name && column.default !== null);
}

/** Types whose equal values are written alike: numbers like 1.0 and 1.00 are not, nor what citext takes for equal. */
const WRITTEN_ONE_WAY =
  /^(smallint|integer|bigint|oid|uuid|boolean|bytea|date|timestamp.*|text|character varying.*|name|"char")$/;

function writtenOneWay({ type, toldApart }: Column): boolean {
  return toldApart && WRITTEN_ONE_WAY.test(type);
}

/** Behind rows that are inserted: those with their key are there already, and are given the other values, or of these alone. */
export function takingPlaceOf(columns: readonly Column[], names: readonly string[], given?: readonly string[]): string {
  const key = names.map(quoteIdentifier);
  const assigned = columns
    .filter((column) => column.identity !== 'a' && (!names.includes(column.name) || !writtenOneWay(column)))
    .filter(({ name }) => given === undefined || given.includes(name))
    .map(({ name }) => `${quoteIdentifier(name)} = EXCLUDED.${quoteIdentifier(name)}`);
  // DO NOTHING would not count a row that is there already.
  const set = assigned.length > 0 ? assigned.join(', ') : `${key[0]} = EXCLUDED.${key[0]}`;
  return ` ON CONFLICT (${key.join(', ')}) DO UPDATE SET ${set}`;
}

/** Whether an UPDATE may give the column a value that was read. */
function givable({ generated, identity, exact }: Column): boolean {
  return generated === '' && identity !== 'a' && exact;
}

/** Whether all that triggers may have changed by now can be read, and given to a follower's row. */
function whole(table: Table, key: readonly Column[]): boolean {
  // What fires at COMMIT has to be waited for there.
  if (table.deferred === 'some') return false;
  return table.columns.every(
    (one) => one.generated !== '' || key.includes(one) || (one.selectable && one.updatable && givable(one)),
  );
}

function findObstacle(command: ModifyCommand, { only, selects }: Modification, table: Table): string | undefined {
  if (command.hasWritingWith) return 'its WITH writes as well';
  if (table.kind !== 'r' && table.kind !== 'p') return 'its target is not a table';
  if (table.rules !== 'none') return 'its target has rules';
  if (table.children === 'some' && !only) return 'others inherit from its target';
  // What RETURNING shows has to pass the policies for SELECT as well.
  if (table.policies !== 'none' && !selects) return 'row-level security guards what it would return';
  return undefined;
}

/** Whether the statement may set off triggers elsewhere, by actions of foreign keys. */
export function cascades({ assigned }: Pick<Modification, 'assigned'>, table: Table): boolean {
  return table.cascades !== 'none' && changesKeys(assigned, table);
}

/** Whether rows go, or what foreign keys may refer to is given another value. `assigned`: none by a DELETE. */
export function changesKeys(assigned: readonly string[], table: Table): boolean {
  const computed = table.columns.some(({ name, generated }) => generated !== '' && table.constrained.includes(name));
  return assigned.length === 0 || computed || assigned.some((name) => table.constrained.includes(name));
}

/** These columns of the target's row, behind the client's own where it has any. */
export function returning(
  target: QualifiedName,
  command: { readonly alias: string | undefined; readonly hasReturning: boolean },
  columns: readonly Column[],
): string {
  // Another schema's table of this name may be among those that it reads.
  const row = command.alias === undefined ? qualified(target) : quoteIdentifier(command.alias);
  const list = columns.map((column) => shown(column, row)).join(', ');
  return command.hasReturning ? `\n, ${list}` : `\n RETURNING ${list}`;
}
