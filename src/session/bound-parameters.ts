/** Values of parameters that would be another thing on each server: words of time, and names of objects. */
import { FIRST_NORMAL_OID } from '../cluster/type-names.ts';
import { PproxError } from '../lib/errors.ts';
import type { Nondeterminism, Statement } from '../sql/statement.ts';
import { TimeWordReader } from '../sql/time-word.ts';
import { isObjectNumber } from '../sql/tree.ts';
import type { ClientStatement, Portal } from './client-statement.ts';

/** Types that never hold a word, in either format: bool, int8, int2, int4, oid, float4, float8, numeric, uuid, bytea. */
const WORDLESS = new Set([16, 20, 21, 23, 26, 700, 701, 1700, 2950, 17]);

/** Parameters that each server's clock would make something else of: 'now', 'today'. */
export function varyingParameters({ statement, bind }: Portal): readonly Nondeterminism[] {
  const found: Nondeterminism[] = [];
  const types = statement.description?.types ?? statement.types;
  bind.values.forEach((value, index) => {
    const word = value === null || WORDLESS.has(types[index] ?? 0) ? undefined : timeWordOf(value);
    if (word === undefined) return;
    const name = `parameter $${index + 1}: '${word}'`;
    // Of a type that the client has not declared, or declared as a text.
    const places = TEXTUAL.has(statement.types[index] ?? 0)
      ? statement.analysed?.columnParameters.get(index + 1)
      : undefined;
    for (const column of places ?? [undefined])
      found.push({ kind: 'volatile', name, span: undefined, type: undefined, column });
  });
  return found;
}

/** Not declared, unknown; "char", name, text, bpchar, varchar, json, jsonb; arrays of name, text, bpchar, varchar. */
const TEXTUAL = new Set([0, 705, 18, 19, 25, 1042, 1043, 114, 3802, 1003, 1009, 1014, 1015]);

/** The statement with its parameters' values where they are names: those are the same objects on every server. */
export function withNamedObjects(statement: Statement, portal: Portal): Statement {
  const { nondeterminism, sequences } = statement;
  const left = nondeterminism.filter(
    ({ parameter }) => parameter === undefined || nameIn(portal, parameter) === undefined,
  );
  const named = sequences.parameters.map((parameter) => nameIn(portal, parameter));
  const known = named.every((name) => name !== undefined && /^[\x20-\x7e]*$/.test(name));
  if (left.length === nondeterminism.length && named.length === 0) return statement;
  const names = known ? [...sequences.names, ...named.flatMap((name) => name || [])] : [];
  return { ...statement, nondeterminism: left, sequences: { ...sequences, names } };
}

/** The name that the parameter's value is; empty for NULL, which names nothing anywhere; undefined where it may be a number. */
function nameIn({ statement, bind }: Portal, parameter: number): string | undefined {
  const value = bind.values[parameter - 1];
  if (value === null) return '';
  const { formats } = bind;
  const format = formats.length === 1 ? formats[0] : formats[parameter - 1];
  const type = (statement.description?.types ?? statement.types)[parameter - 1] ?? 0;
  if (value === undefined || ((format ?? 0) !== 0 && !TEXTS.has(type))) return undefined;
  const name = value.toString('utf8');
  return isObjectNumber(name) ? undefined : name;
}

/** text, varchar: the same in either format. */
const TEXTS = new Set([25, 1043]);

const reader = new TimeWordReader();

function timeWordOf(value: Buffer): string | undefined {
  reader.begin();
  for (const byte of value) {
    if (!reader.wants) break;
    reader.byte(byte);
  }
  return reader.end();
}

/** regproc, regprocedure, regoper, regoperator, regclass, regtype, regconfig, regdictionary, regnamespace, regrole, regcollation. */
const NAMES_OF_OBJECTS = new Set([24, 2202, 2203, 2204, 2205, 2206, 3734, 3769, 4089, 4096, 4191]);

/**
 * Types of parameters for a follower: as the lead has resolved them; one of the user's own by the follower's number
 * (`translated`), or left to it to resolve. Throws PproxError where a value would name another object there.
 */
export function typesOnFollower(
  statement: ClientStatement,
  translated: ReadonlyMap<number, number> | undefined,
): readonly number[] {
  return (statement.description?.types ?? statement.types).map((type, index) => {
    // What is found by its name on each server was looked at when the statement was planned.
    const named = statement.analysed?.nondeterminism.some(({ parameter }) => parameter === index + 1);
    if (NAMES_OF_OBJECTS.has(type) && named !== true) {
      throw new PproxError('not_replayable', {
        message: `the statement would not have the same effect on every writer: parameter $${index + 1} names an object`,
        detail: 'Each server has an object identifier of its own for the name.',
        hint: 'Store the name as text.',
      });
    }
    if (type < FIRST_NORMAL_OID) return type;
    return translated?.get(statement.types[index] ?? 0) ?? 0;
  });
}

/** Longer ones are no keys. */
const SHOWN_BYTES = 4096;

/** Values of parameters as text: those that came as text, and of the others numbers, UUIDs and texts. */
export function shownParameters({ statement, bind: { formats, values } }: Portal): readonly string[] {
  const types = statement.description?.types ?? statement.types;
  return values.flatMap((value, index) => {
    if (value === null || value.length > SHOWN_BYTES) return [];
    const format = (formats.length === 1 ? formats[0] : formats[index]) ?? 0;
    return (format === 0 ? value.toString('utf8') : shownBinary(value, types[index] ?? 0)) ?? [];
  });
}

/** int2, int4, int8, uuid, text and varchar (their `send` functions write big-endian bytes). Undefined of any other. */
function shownBinary(value: Buffer, type: number): string | undefined {
  if (type === 21 && value.length === 2) return String(value.readInt16BE(0));
  if (type === 23 && value.length === 4) return String(value.readInt32BE(0));
  if (type === 20 && value.length === 8) return String(value.readBigInt64BE(0));
  if (TEXTS.has(type)) return value.toString('utf8');
  if (type !== 2950 || value.length !== 16) return undefined;
  return value.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
