/**
 * A total walk over a parse tree: every node below is visited, whatever its type, so that nothing escapes by being
 * nested in something unheard of. What counts is told to `Facts`.
 *
 * Two things depend on the place of an expression. One that is *stored* (a column's default, a view's query) is not
 * evaluated by its statement: its functions do not run; only constants are made into values at once, so
 * `DEFAULT 'now'` counts. And a clock function can be replaced by its value except where it names a result column
 * that something else refers to, or stands for a table.
 */

import { CallPlaces } from './call-places.ts';
import { noteCall } from './calls.ts';
import { keywordSpan } from './call-span.ts';
import { columnPlaces } from './column-places.ts';
import {
  SEEN,
  CLOCKS,
  isPlainColumn,
  isPlainType,
  isReading,
  isNamed,
  isOfNumbers,
  asText,
  nameOfRelation,
} from './expressions.ts';
import type { Facts } from './facts.ts';
import {
  clockKeywords,
  roleKeywords,
  identifierType,
  systemColumns,
  lockStrength,
  keywordOperators,
  placeKeywords,
  unportableOperators,
  writingStatements,
} from './keyword-nodes.ts';
import { nestedWrite } from './modification.ts';
import { isServerView, OWN_SCHEMA } from './function-effects.ts';
import { NEW_NUMBER, readNumber } from './literals.ts';
import { orderedBy, takesRowsAsTheyCome } from './order.ts';
import { currentName, isCustom } from './setting-names.ts';
import { timeWordIn } from './time-word.ts';
import {
  castType,
  constantText,
  hasObjectNumbers,
  isFields,
  isTemporarySchema,
  TEMPORARY,
  listOf,
  nameOf,
  nodeOf,
  stringOf,
  stringsOf,
  tagged,
  type Fields,
} from './tree.ts';
import type { ColumnPlace } from './statement.ts';

/** Operators of numbers whose results may differ. */
const MATHEMATICS: ReadonlySet<string> = new Set(['^', '|/', '||/']);

export class Walker {
  readonly facts: Facts;
  readonly #text: Buffer;
  /** `both`: a new column's default, a materialized view's query. */
  #evaluation: 'evaluated' | 'stored' | 'both' = 'evaluated';
  /** Names of the common table expressions in sight, innermost last. */
  readonly #withNames: string[] = [];
  readonly #callPlaces = new CallPlaces();
  /** Constants and parameters of a column's type. */
  #places: ReadonlyMap<unknown, ColumnPlace> = new Map();
  /** Where what depends on the order of rows is told. */
  #order: Set<string>;
  /** What is still to be visited, the next one last. */
  readonly #waiting: { readonly value: object; readonly field: string }[] = [];

  /** `text`: what the tree's locations are offsets of; not kept beyond the walk. */
  constructor(facts: Facts, text: Buffer) {
    this.facts = facts;
    this.#text = text;
    this.#order = facts.order;
  }

  /** Anything that the statement evaluates. */
  evaluated(value: unknown): void {
    this.#walk(value, '');
  }

  /** Anything that the statement keeps for later, and where it is `both` evaluates now as well. */
  stored(value: unknown, evaluation: 'stored' | 'both' = 'stored'): void {
    this.#evaluation = evaluation;
    this.#walk(value, '');
    this.#evaluation = 'evaluated';
  }

  /** The statement's own query, whose column names nobody refers to. */
  query(value: unknown): void {
    const select = nodeOf(value, 'SelectStmt');
    if (select === undefined) this.#walk(value, '');
    else this.#select(select, 'result');
  }

  /** A query that is the statement itself. */
  shown(select: Fields): void {
    this.#within(select['withClause'], () => {
      if (this.facts.writesInWith) this.#order = this.facts.orderShown;
      this.#selectParts(select, 'result');
    });
  }

  /** An INSERT, UPDATE, DELETE or MERGE that is the statement itself. */
  writing(tag: string, fields: Fields): void {
    this.#places = columnPlaces(tag, fields);
    this.#writing(tag, fields, 'result');
  }

  /** What a COPY writes and shows the rows of: it is looked at as what stands below WITH. */
  copied(tag: string, fields: Fields): void {
    const target = fields['relation'];
    if (isFields(target)) {
      const name = nameOfRelation(target);
      this.facts.nested.push({ target: name, ...nestedWrite(tag, fields) });
      if (tag === 'InsertStmt') this.facts.inserts.add(name);
    }
    this.writing(tag, fields);
  }

  /**
   * Visits everything in `value`. Expressions may be thousands of levels deep, so what is below waits on a stack of
   * our own; only a nested query is a call of its own, for the names that are in sight there.
   */
  #walk(value: unknown, field: string): void {
    const base = this.#waiting.length;
    this.#push(value, field);
    while (this.#waiting.length > base) {
      const { value: next, field: place } = this.#waiting.pop() ?? { value: undefined, field: '' };
      this.#one(next, place);
    }
  }

  #push(value: unknown, field: string): void {
    if (typeof value === 'object' && value !== null) this.#waiting.push({ value, field });
  }

  #one(value: unknown, field: string): void {
    if (Array.isArray(value)) {
      for (let at = value.length - 1; at >= 0; at--) this.#push(value[at], field);
      return;
    }
    if (!isFields(value)) return;
    const node = tagged(value);
    if (node !== undefined) this.#visit(node.tag, node.fields);
    else if ('relname' in value) this.#relation(value);
    else if ((field === 'larg' || field === 'rarg') && 'op' in value) this.#select(value, 'columns');
    else if (field === 'funccall') this.#call(value);
    else if (field !== 'typeName') this.#children(value);
  }

  /** In the order of the text, which is that of the fields. */
  #children(fields: Fields): void {
    for (const key of Object.keys(fields).toReversed()) this.#push(fields[key], key);
  }

  #visit(tag: string, fields: Fields): void {
    switch (tag) {
      case 'SelectStmt':
        return this.#select(fields, 'columns');
      case 'InsertStmt':
      case 'UpdateStmt':
      case 'DeleteStmt':
      case 'MergeStmt':
        return this.#nestedWriting(tag, fields);
      case 'RangeVar':
        return this.#relation(fields);
      case 'FuncCall':
        return this.#call(fields);
      case 'SQLValueFunction':
        return this.#keywordFunction(fields);
      case 'A_Const':
        return this.#constant(fields);
      case 'ParamRef':
        return this.facts.parameter(Number(fields['number']), this.#places.get(fields));
      case 'ColumnRef':
        return this.#column(fields);
      case 'A_Expr':
        this.#operator(stringsOf(fields['name']));
        this.#compare(stringsOf(fields['name']).at(-1) ?? '', [fields['lexpr'], fields['rexpr']]);
        return this.#children(fields);
      case 'MinMaxExpr':
        this.#compare(fields['op'] === 'IS_LEAST' ? 'LEAST' : 'GREATEST', listOf(fields['args']));
        return this.#children(fields);
      case 'VariableSetStmt':
        return this.setting(fields);
      case 'SubLink':
        if (fields['operName'] !== undefined) this.#operator(stringsOf(fields['operName']));
        else if (fields['subLinkType'] === 'ANY_SUBLINK') this.#operator(['=']);
        return this.#children(fields);
      case 'SortBy':
        if (fields['useOp'] !== undefined) this.#operator(stringsOf(fields['useOp']));
        return this.#children(fields);
      case 'CaseExpr':
        if (fields['arg'] !== undefined) this.#operator(['=']);
        return this.#children(fields);
      case 'JoinExpr':
        if (fields['usingClause'] !== undefined || fields['isNatural'] === true) this.#operator(['=']);
        return this.#children(fields);
      case 'A_Indirection':
        for (const name of stringsOf(fields['indirection'])) this.facts.attributes.add(name);
        return this.#children(fields);
      case 'TypeCast':
        return this.#cast(fields);
      case 'Constraint':
        if (fields['contype'] === 'CONSTR_GENERATED' && hasObjectNumbers(fields['raw_expr']))
          this.facts.differs('server', 'a generated column of the numbers of tables and the like');
        return this.#children(fields);
      case 'RangeTableFunc':
      case 'JsonTable':
      case 'JsonFuncExpr':
        if (isFields(fields['output'])) this.#declared(fields['output']);
        this.#conversion({ [tag]: fields });
        return this.#children(fields);
      case 'JsonTableColumn':
      case 'RangeTableFuncCol':
        this.#declared(fields);
        return this.#children(fields);
      case 'RangeFunction':
        if (!listOf(fields['coldeflist']).every(isPlainColumn)) this.#conversion({ [tag]: fields });
        for (const column of listOf(fields['coldeflist'])) this.#declared(nodeOf(column, 'ColumnDef') ?? {});
        this.#callPlaces.inFrom(fields);
        return this.#children(fields);
      case 'RangeTableSample':
        this.#sample(fields);
        return this.#children(fields);
      case 'CurrentOfExpr':
        this.#differs('server', 'WHERE CURRENT OF');
        return;
      default:
        return this.#children(fields);
    }
  }

  // ---- Queries ----------------------------------------------------------------------------------------------------

  #select(fields: Fields, names: 'result' | 'columns'): void {
    this.#within(fields['withClause'], () => this.#selectParts(fields, names));
  }

  /** One query, behind its WITH. */
  #selectParts(fields: Fields, names: 'result' | 'columns'): void {
    // UNION leans to the left, as often as it is written.
    const spine = [fields];
    for (let left = fields['larg']; isFields(left) && left['withClause'] === undefined; left = left['larg']) {
      spine.push(left);
    }
    for (const part of spine.toReversed()) this.#selectPart(part, names, part === spine.at(-1) ? 'walk' : 'walked');
  }

  /** One SELECT but for its WITH; `left`: whether its left side was walked before. */
  #selectPart(fields: Fields, names: 'result' | 'columns', left: 'walk' | 'walked'): void {
    for (const clause of listOf(fields['lockingClause'])) {
      const strength = String(nodeOf(clause, 'LockingClause')?.['strength']);
      // The relations it names are aliases of this query.
      if (this.#evaluation !== 'stored') this.facts.raise('lead', lockStrength[strength] ?? 'row locks');
    }
    for (const name of orderedBy(fields)) if (this.#evaluation !== 'stored') this.#order.add(name);
    if (names === 'columns') this.#callPlaces.namesReferredTo(fields['targetList']);
    this.#callPlaces.namesOfColumns(fields['targetList']);
    for (const key in fields) {
      if (key === 'withClause' || key === 'lockingClause' || key === 'intoClause') continue;
      const value = fields[key];
      if ((key === 'larg' || key === 'rarg') && isFields(value)) {
        if (key === 'rarg' || left === 'walk') this.#select(value, names);
      } else this.#walk(value, key);
    }
  }

  /** Runs `body` with the names of a WITH clause in sight, each of them from its own place on. */
  #within(withClause: unknown, body: () => void): void {
    if (!isFields(withClause)) return body();
    const outer = this.#withNames.length;
    const expressions = listOf(withClause['ctes']).map((one) => nodeOf(one, 'CommonTableExpr'));
    const names = expressions.map((one) => String(one?.['ctename']));
    if (withClause['recursive'] === true) this.#withNames.push(...names);
    for (const [index, expression] of expressions.entries()) {
      this.#walk(expression === undefined ? undefined : Object.values(expression), '');
      if (withClause['recursive'] !== true) this.#withNames.push(names[index] ?? '');
    }
    body();
    this.#withNames.length = outer;
  }

  #nestedWriting(tag: string, fields: Fields): void {
    if (this.#evaluation !== 'stored') {
      const target = fields['relation'];
      const temporary = isFields(target) && isTemporarySchema(asText(target['schemaname']));
      this.facts.raise(temporary ? 'lead' : 'writers', `${writingStatements[tag] ?? tag} in WITH`);
      this.facts.writesInWith = true;
      if (isFields(target)) this.facts.nested.push({ target: nameOfRelation(target), ...nestedWrite(tag, fields) });
    }
    this.#writing(tag, fields, 'columns');
  }

  #writing(tag: string, fields: Fields, names: 'result' | 'columns'): void {
    const returning = fields['returningClause'];
    if (names === 'columns' && isFields(returning)) this.#callPlaces.namesReferredTo(returning['exprs']);
    this.#within(fields['withClause'], () => {
      // The target is never a common table expression.
      const target = fields['relation'];
      if (isFields(target)) {
        this.facts.relations.add(nameOfRelation(target));
        if (this.#evaluation !== 'stored' && (names === 'columns' || tag === 'MergeStmt')) {
          if (tag === 'InsertStmt' || tag === 'MergeStmt') this.facts.inserts.add(nameOfRelation(target));
        }
      }
      for (const key in fields) {
        if (key === 'withClause' || key === 'relation') continue;
        // The columns of INSERT go by place.
        if (key === 'selectStmt' && tag === 'InsertStmt') this.query(fields[key]);
        else this.#walk(fields[key], key);
      }
    });
  }

  #relation(fields: Fields): void {
    const name = nameOfRelation(fields);
    if (name.schema === undefined && this.#withNames.includes(name.name)) return;
    this.facts.relations.add(name);
    if (this.#evaluation === 'stored') return;
    this.facts.reads.add(name);
    if (isTemporarySchema(name.schema)) this.facts.raise('lead', TEMPORARY);
    if ((name.schema === undefined || name.schema === 'pg_catalog') && isServerView(name.name)) {
      this.facts.raise('lead', `reads ${name.name}`);
    }
    if (name.schema === OWN_SCHEMA) this.facts.raise('lead', `reads ${OWN_SCHEMA}.${name.name}: the lead alone has it`);
  }

  // ---- Expressions ------------------------------------------------------------------------------------------------

  #differs(kind: 'volatile' | 'server' | 'transaction time', name: string): void {
    if (this.#evaluation !== 'stored') this.facts.differs(kind, name);
  }

  #constant(fields: Fields): void {
    const { location } = fields;
    const number = fields['ival'] ?? fields['fval'];
    if (number !== undefined && typeof location === 'number' && readNumber(this.#text, location).spelling === 'new')
      this.facts.differs('server', NEW_NUMBER);
    const text = fields['sval'];
    if (!isFields(text) || typeof text['sval'] !== 'string') return;
    const bytes = Buffer.from(text['sval']);
    const word = timeWordIn(bytes, 0, bytes.length);
    // In what is stored, too: such a constant becomes a moment when the statement is analysed.
    if (word !== undefined) this.facts.timeWord(word, this.#places.get(fields));
  }

  #cast(fields: Fields): void {
    const type = fields['typeName'];
    const name = isFields(type) ? stringsOf(type['names']).at(-1) : undefined;
    if (this.#isNameOfObject(fields)) return;
    if (name !== undefined && identifierType.test(name)) this.#differs('server', `::${name}`);
    if (!isPlainType(type)) {
      if (name !== undefined) this.facts.casts.add(name);
      this.#conversion(fields['arg']);
    }
    this.#children(fields);
  }

  /** What values become without a cast: columns of a function's result, and of JSON_TABLE and its like. */
  #declared({ typeName }: Fields): void {
    const name = isFields(typeName) ? stringsOf(typeName['names']).at(-1) : undefined;
    if (name !== undefined && !isPlainType(typeName)) this.facts.casts.add(name);
  }

  /** `$1::regclass::text`: the name, as the session writes it. (A constant is not in the text that is looked at.) */
  #isNameOfObject(fields: Fields): boolean {
    const inner = nodeOf(fields['arg'], 'TypeCast');
    const [outer, type] = [castType(fields), inner && castType(inner)];
    if ((outer !== 'text' && outer !== 'varchar') || type === undefined || !identifierType.test(type)) return false;
    const parameter = nodeOf(inner?.['arg'], 'ParamRef')?.['number'];
    if (typeof parameter !== 'number') return false;
    if (this.#evaluation !== 'stored') this.facts.namedBy(parameter);
    this.facts.parameter(parameter, undefined);
    return true;
  }

  /** A constant or parameter counts by itself; what reads a clock is a moment already. */
  #conversion(value: unknown): void {
    if (this.#evaluation === 'stored') return;
    const node = tagged(value);
    if (node === undefined || SEEN.has(node.tag)) return;
    if (node.tag === 'TypeCast') {
      // Of a constant through text: 'now'::text::date.
      if (constantText(value) !== undefined || nodeOf(node.fields['arg'], 'ParamRef') !== undefined) return;
    }
    if (node.tag === 'FuncCall' && CLOCKS.has(nameOf(stringsOf(node.fields['funcname'])).name)) return;
    const column = node.tag === 'ColumnRef' ? stringOf(listOf(node.fields['fields']).at(-1)) : undefined;
    this.facts.conversions.add(column);
  }

  /** Of a SET within a definition: with its value, PostgreSQL tries it. */
  setting(fields: Fields): void {
    const { name: named } = fields;
    const name = typeof named === 'string' ? currentName(named) : '';
    if (isCustom(name)) this.facts.settings.push({ name, scope: 'local', how: 'set' });
    if (fields['kind'] === 'VAR_SET_CURRENT') this.facts.differs('server', 'SET … FROM CURRENT');
    this.#children(fields);
  }

  #column(fields: Fields): void {
    const parts = listOf(fields['fields']);
    const name = stringOf(parts.at(-1));
    if (name === undefined) return;
    if (this.#evaluation !== 'stored') {
      this.facts.columns.add(name);
      if (parts.length > 1) this.facts.attributes.add(name);
    }
    if (systemColumns.has(name)) this.#differs('server', name);
  }

  #operator(parts: readonly string[]): void {
    if (this.#evaluation === 'stored') return;
    const name = nameOf(parts);
    const behind = name.schema === undefined ? keywordOperators[name.name] : undefined;
    for (const one of behind ?? [name.name]) this.facts.operators.add({ schema: name.schema, name: one });
  }

  /** By collations, classes of characters or floating-point mathematics, which servers may have others of. */
  #compare(operator: string, operands: readonly unknown[]): void {
    if (this.#evaluation === 'stored' || !unportableOperators.has(operator)) return;
    const all = operands.flatMap((one) =>
      nodeOf(one, 'List') === undefined ? [one] : listOf(nodeOf(one, 'List')?.['items']),
    );
    if (MATHEMATICS.has(operator)) this.facts.unportableOperators.push({ name: operator, columns: [] });
    else if (!all.some(isOfNumbers)) {
      const columns = all.flatMap((one) => stringOf(listOf(nodeOf(one, 'ColumnRef')?.['fields']).at(-1)) ?? []);
      this.facts.unportableOperators.push({ name: operator, columns });
    }
  }

  #sample(fields: Fields): void {
    const method = nameOf(stringsOf(fields['method']));
    if (method.name === 'system' || method.name === 'bernoulli') {
      this.#differs(fields['repeatable'] === undefined ? 'volatile' : 'server', 'TABLESAMPLE');
    } else if (this.#evaluation !== 'stored') this.facts.functions.add(method);
  }

  #keywordFunction(fields: Fields): void {
    const op = String(fields['op']);
    const role = roleKeywords[op];
    if (role !== undefined) return this.#differs('server', role);
    const place = placeKeywords[op];
    if (place !== undefined && this.#evaluation !== 'stored') this.facts.unportable.add(place);
    const precise = op.endsWith('_N');
    const clock = clockKeywords[precise ? op.slice(0, -2) : op];
    if (clock === undefined || this.#evaluation === 'stored') return;
    const digits = typeof fields['typmod'] === 'number' ? fields['typmod'] : 0;
    const precision = precise ? `(${digits})` : '';
    const location = fields['location'];
    const span =
      typeof location === 'number' && this.#evaluation === 'evaluated' && !this.#callPlaces.isFixed(fields)
        ? keywordSpan(this.#text, location, clock.keyword, precise ? 'precision' : 'plain')
        : undefined;
    this.facts.differs('transaction time', clock.keyword + precision, span, span && clock.type + precision);
  }

  // ---- Functions --------------------------------------------------------------------------------------------------

  #call(fields: Fields): void {
    const name = nameOf(stringsOf(fields['funcname']));
    const args = listOf(fields['args']);
    if (this.#evaluation === 'stored') this.facts.stored.add(name.name);
    else {
      if (/^jsonb?_populate_record/.test(name.name)) this.facts.conversions.add(undefined);
      else if (isReading(name.name, args)) this.#conversion(args[0]);
      const evaluation = this.#evaluation;
      if (fields['over'] !== undefined || takesRowsAsTheyCome(name.name)) this.#order.add(`${name.name}()`);
      noteCall(this.facts, { name, args, fields, evaluation }, this.#text, this.#callPlaces);
    }
    const sequence = (name.name === 'nextval' || name.name === 'setval') && isNamed(args[0]);
    for (const key of Object.keys(fields).toReversed()) {
      if (key === 'args') this.#push(sequence ? args.slice(1) : args, key);
      else if (key !== 'funcname') this.#push(fields[key], key);
    }
  }
}
