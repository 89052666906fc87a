/** Commands of ALTER TABLE, as far as they evaluate expressions for the rows there are. */
import { asText, isBuiltInType } from './expressions.ts';
import type { AddedColumn } from './statement.ts';
import { type Fields, isFields, listOf, nameOf, nodeOf, stringsOf } from './tree.ts';
import type { Walker } from './walker.ts';

/**
 * ADD COLUMN evaluates its default, and ALTER COLUMN … TYPE its USING: calls there have their places, so that the lead's time can stand in
 * for them. The default is kept as well. A CHECK is both evaluated and kept as it is. The bounds of a partition that is attached are values.
 */
export function alteration(command: unknown, walker: Walker): void {
  const fields = nodeOf(command, 'AlterTableCmd');
  const column = nodeOf(fields?.['def'], 'ColumnDef');
  const subtype = fields?.['subtype'];
  // RESTART among them.
  if (subtype === 'AT_SetIdentity') walker.facts.setsSequences = 'some';
  const attached = subtype === 'AT_AttachPartition' ? nodeOf(fields?.['def'], 'PartitionCmd') : undefined;
  if (attached !== undefined) {
    walker.stored(attached['name']);
    bound(attached['bound'], walker);
    return;
  }
  if (subtype === 'AT_DetachPartition') walker.facts.partitions = 'taken away';
  if (column === undefined || (subtype !== 'AT_AddColumn' && subtype !== 'AT_AlterColumnType')) {
    walker.stored(command);
    return;
  }
  const constraints = listOf(column['constraints']);
  const others = constraints.filter((one) => defaultOf(one) === undefined);
  walker.stored({ ColumnDef: { ...column, constraints: others, raw_default: undefined } }, 'both');
  walker.evaluated(column['raw_default']);
  for (const one of constraints) walker.evaluated(defaultOf(one));
  const numbered = subtype === 'AT_AddColumn' && isNumbered(column);
  if (numbered || subtype === 'AT_AlterColumnType') walker.facts.rewrites = 'rows';
  if (subtype === 'AT_AddColumn') walker.facts.added.push(added(column, others.length < constraints.length));
}

/** FOR VALUES …, which are computed at once. */
export function bound(value: unknown, walker: Walker): void {
  const fields = nodeOf(value, 'PartitionBoundSpec') ?? value;
  if (isFields(fields) && fields['strategy'] === 'h') walker.facts.partitions = 'of hashes';
  walker.evaluated(value);
}

function defaultOf(constraint: unknown): unknown {
  const fields = nodeOf(constraint, 'Constraint');
  return fields?.['contype'] === 'CONSTR_DEFAULT' ? fields['raw_expr'] : undefined;
}

/** A sequence numbers the rows that there are, in the order in which a server finds them. */
function isNumbered(column: Fields): boolean {
  const type = isFields(column['typeName']) ? stringsOf(column['typeName']['names']).at(-1) : undefined;
  const identity = listOf(column['constraints']).some(
    (one) => nodeOf(one, 'Constraint')?.['contype'] === 'CONSTR_IDENTITY',
  );
  return identity || SERIAL.test(type ?? '');
}

const SERIAL = /^(small|big)?serial[248]?$/;

function added(column: Fields, hasDefault: boolean): AddedColumn {
  const type = isFields(column['typeName']) ? column['typeName'] : {};
  const name = nameOf(stringsOf(type['names']));
  const own = !isBuiltInType(type) && !SERIAL.test(name.name) && listOf(type['arrayBounds']).length === 0;
  return {
    name: asText(column['colname']) ?? '',
    default: hasDefault ? 'given' : 'none',
    type: own ? name : undefined,
  };
}
