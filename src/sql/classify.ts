/** From a statement's parse tree to what decides about it: its `Statement`. */

import type { CopyStmt, DeclareCursorStmt, ExplainStmt, Node, RangeVar } from 'libpg-query';
import { alteration, bound } from './alteration.ts';
import { definedBy } from './defined.ts';
import { definitionOf, forbidsBlock, isTemporary, listedRelations, needsNobody } from './definitions.ts';
import { Facts } from './facts.ts';
import { insertCommand } from './insert.ts';
import { mergedBy, modificationOf } from './modification.ts';
import { settingChange, transactionControl } from './transaction.ts';
import {
  booleanOption,
  isFields,
  isTemporarySchema,
  TEMPORARY,
  listOf,
  nodeOf,
  optionOf,
  relationName,
  stringOf,
  stringsOf,
  tagged,
  type Fields,
} from './tree.ts';
import { timeWordIn } from './time-word.ts';
import type { Command, PinReason, Route, Statement } from './statement.ts';
import { Walker } from './walker.ts';

/** `CURSOR_OPT_HOLD` of the server's parsenodes.h. */
const withHold = 0x20;

/** Statements by which a session talks to its server and that leave no durable effect. */
const ofTheSession: Readonly<
  Record<string, { readonly name: string; readonly pin?: PinReason; readonly unpin?: PinReason }>
> = {
  CheckPointStmt: { name: 'CHECKPOINT' },
  ClosePortalStmt: { name: 'CLOSE', unpin: 'held cursor' },
  FetchStmt: { name: 'FETCH' },
  LoadStmt: { name: 'LOAD', pin: 'setting' },
  LockStmt: { name: 'LOCK' },
  NotifyStmt: { name: 'NOTIFY' },
};

/** Statements with durable effects that change no definition. */
const onWriters: Readonly<Record<string, { readonly name: string; readonly pin?: PinReason }>> = {
  AlterSystemStmt: { name: 'ALTER SYSTEM' },
  CallStmt: { name: 'CALL', pin: 'volatile function' },
  ClusterStmt: { name: 'CLUSTER' },
  // No effect by itself, but every leg has to check its constraints at the same point.
  ConstraintsSetStmt: { name: 'SET CONSTRAINTS' },
  DoStmt: { name: 'DO', pin: 'volatile function' },
  RefreshMatViewStmt: { name: 'REFRESH MATERIALIZED VIEW' },
  ReindexStmt: { name: 'REINDEX' },
  TruncateStmt: { name: 'TRUNCATE' },
};

const readCommand: Command = { kind: 'read' };

/**
 * `text`: the bytes that the tree's locations are offsets of, not kept. The statement's spans are in these offsets
 * too; its own span is left empty for the caller, who knows where the semicolons are.
 */
export function classify(node: unknown, text: Buffer): Statement {
  const { tag, fields } = tagged(node) ?? { tag: 'nothing', fields: {} };
  return new Classification(tag, fields, text).statement();
}

class Classification {
  readonly #tag: string;
  readonly #fields: Fields;
  readonly #text: Buffer;

  constructor(tag: string, fields: Fields, text: Buffer) {
    this.#tag = tag;
    this.#fields = fields;
    this.#text = text;
  }

  statement(): Statement {
    const tag = this.#tag;
    const fields = this.#fields;
    switch (tag) {
      case 'SelectStmt':
        return this.#select();
      case 'InsertStmt':
        return this.#writing('INSERT', (facts) => insertCommand(fields, facts));
      case 'UpdateStmt':
        return this.#writing('UPDATE', (facts) => this.#modification('update', facts));
      case 'DeleteStmt':
        return this.#writing('DELETE', (facts) => this.#modification('delete', facts));
      case 'MergeStmt':
        return this.#writing('MERGE', (facts) => this.#modification('merge', facts));
      case 'ExplainStmt':
        return this.#explain(fields);
      case 'CopyStmt':
        return this.#copy(fields);
      case 'CreateTableAsStmt':
        return this.#createTableAs();
      case 'VariableShowStmt':
        // Of a reader it would tell in_hot_standby, transaction_read_only and settings of its own.
        return this.#finish(readCommand, new Facts('lead', 'SHOW'));
      case 'VariableSetStmt': {
        const { command, reason, pin, changes } = settingChange(fields);
        const facts = this.#facts('lead', reason, pin);
        facts.settings.push(...changes);
        return this.#finish(command, facts);
      }
      case 'TransactionStmt': {
        const { command, reason, block } = transactionControl(fields);
        return { ...this.#finish(command, new Facts('lead', reason)), block };
      }
      case 'PrepareStmt':
        return this.#prepare();
      case 'ExecuteStmt':
        return this.#execute();
      case 'DeallocateStmt': {
        const name = fields['isall'] === true ? undefined : textOf(fields['name']);
        return this.#finish({ kind: 'deallocate', name }, new Facts('lead', 'DEALLOCATE'));
      }
      case 'DiscardStmt':
        return this.#discard();
      case 'ListenStmt':
        return this.#finish(
          { kind: 'listen', channel: textOf(fields['conditionname']) ?? '' },
          new Facts('lead', 'LISTEN'),
        );
      case 'UnlistenStmt':
        return this.#finish(
          { kind: 'unlisten', channel: textOf(fields['conditionname']) },
          new Facts('lead', 'UNLISTEN'),
        );
      case 'DeclareCursorStmt':
        return this.#declare(fields);
      case 'VacuumStmt':
        return this.#utility(fields['is_vacuumcmd'] === true ? 'VACUUM' : 'ANALYZE', 'writers', undefined);
      default:
        return this.#other();
    }
  }

  // ---- Queries and changes ----------------------------------------------------------------------------------------

  #select(): Statement {
    const into = this.#fields['intoClause'];
    if (isFields(into)) {
      return this.#definition('SELECT INTO', into, (walker) => {
        walker.facts.fills = 'table';
        walker.evaluated({ SelectStmt: this.#fields });
      });
    }
    const facts = new Facts('reader', this.#fields['valuesLists'] === undefined ? 'SELECT' : 'VALUES');
    this.#walker(facts).shown(this.#fields);
    const command: Command = facts.writesInWith
      ? {
          kind: 'modify',
          statement: 'select',
          target: undefined,
          alias: undefined,
          hasReturning: true,
          modification: undefined,
          merged: undefined,
          hasWritingWith: true,
        }
      : readCommand;
    return this.#finish(command, facts);
  }

  #writing(name: string, command: (facts: Facts) => Command): Statement {
    const target = this.#fields['relation'];
    const facts =
      isFields(target) && isTemporary({ relation: target }) ? new Facts('lead', TEMPORARY) : new Facts('writers', name);
    // Its rule calls set_config().
    if (isFields(target) && target['relname'] === 'pg_settings') facts.pins.add('setting');
    this.#walker(facts).writing(this.#tag, this.#fields);
    return this.#finish(command(facts), facts);
  }

  #modification(statement: 'update' | 'delete' | 'merge', facts: Facts): Command {
    const hasReturning = this.#fields['returningClause'] !== undefined;
    const relation = this.#fields['relation'] as RangeVar;
    return {
      kind: 'modify',
      statement,
      target: relationName(relation),
      alias: relation.alias?.aliasname,
      hasReturning,
      modification: statement === 'merge' ? undefined : modificationOf(this.#fields),
      merged: statement === 'merge' ? mergedBy(this.#fields) : undefined,
      hasWritingWith: facts.writesInWith,
    };
  }

  #explain(statement: ExplainStmt): Statement {
    const own = optionOf(statement.options, 'pprox');
    if (own !== undefined && (booleanOption(own.value) ?? true)) {
      return {
        ...this.#finish(readCommand, new Facts('lead', 'EXPLAIN (PPROX)')),
        planned: classify(statement.query, this.#text),
      };
    }
    const analyze = optionOf(statement.options, 'analyze');
    // A value that the server would refuse counts as true: it must not run here as a read.
    if (analyze !== undefined && (booleanOption(analyze.value) ?? true)) {
      const inner = classify(statement.query, this.#text);
      return { ...inner, node: this.#tag, reason: `EXPLAIN ANALYZE: ${inner.reason}`, explains: true };
    }
    const facts = new Facts('reader', 'EXPLAIN');
    this.#walker(facts).stored(statement.query);
    const query = nodeOf(statement.query, 'CreateTableAsStmt')?.['query'] ?? statement.query;
    const execute = nodeOf(query, 'ExecuteStmt');
    if (execute !== undefined) {
      facts.raise('lead', 'EXPLAIN EXECUTE');
      facts.executes = textOf(execute['name']);
    }
    if (facts.relations.some((name) => isTemporarySchema(name.schema))) facts.raise('lead', TEMPORARY);
    return this.#finish(readCommand, facts);
  }

  #copy(statement: CopyStmt): Statement {
    const server = statement.filename !== undefined || statement.is_program === true;
    if (statement.is_from !== true) {
      const facts = server ? new Facts('lead', 'COPY to the server') : new Facts('reader', 'COPY TO STDOUT');
      const walker = this.#walker(facts);
      const query = tagged(statement.query);
      if (query === undefined) walker.evaluated({ RangeVar: statement.relation });
      else if (query.tag === 'SelectStmt') walker.query(statement.query);
      else {
        facts.raise('writers', `COPY of ${query.tag.replace('Stmt', '').toUpperCase()}`);
        walker.copied(query.tag, query.fields);
      }
      return this.#finish({ kind: 'copy out', sink: server ? 'server' : 'stdout' }, facts);
    }
    const facts = isTemporary(this.#fields)
      ? new Facts('lead', TEMPORARY)
      : new Facts('writers', server ? 'COPY from the server' : 'COPY FROM STDIN');
    facts.relations.add(relationName(statement.relation));
    this.#walker(facts).evaluated(statement.whereClause);
    const columns = statement.attlist === undefined ? undefined : stringsOf(statement.attlist);
    const target = relationName(statement.relation);
    const options = listOf(statement.options).map((option) => textOf(nodeOf(option, 'DefElem')?.['defname']));
    const marks = options.includes('default') ? 'some' : 'none';
    const quotes = options.includes('quote') || options.includes('escape') ? 'its own' : 'the usual ones';
    const source = server ? 'server' : 'stdin';
    return this.#finish({ kind: 'copy in', source, target, columns, marks, quotes }, facts);
  }

  // ---- Session ----------------------------------------------------------------------------------------------------

  #prepare(): Statement {
    return this.#finish({ kind: 'prepare', name: textOf(this.#fields['name']) ?? '' }, new Facts('lead', 'PREPARE'));
  }

  /** What it runs is not in its text: the session knows what was prepared under this name. The facts are of its arguments. */
  #execute(): Statement {
    const facts = new Facts('lead', 'EXECUTE');
    const parameters = listOf(this.#fields['params']);
    this.#walker(facts).evaluated(parameters);
    const name = textOf(this.#fields['name']) ?? '';
    facts.executes = name;
    return this.#finish({ kind: 'execute', name, count: parameters.length }, facts);
  }

  #discard(): Statement {
    const target = String(this.#fields['target']).replace('DISCARD_', '').toLowerCase();
    const what = target === 'plans' || target === 'sequences' || target === 'temp' ? target : 'all';
    const facts = new Facts('lead', 'DISCARD');
    if (what === 'all') facts.settings.push({ name: 'all', scope: 'session', how: 'reset' });
    if (what === 'temp') facts.unpins.add('temporary object');
    return this.#finish({ kind: 'discard', what }, facts);
  }

  #declare(statement: DeclareCursorStmt): Statement {
    const held = ((statement.options ?? 0) & withHold) !== 0;
    const facts = this.#facts('lead', 'DECLARE CURSOR', held ? 'held cursor' : undefined);
    this.#walker(facts).query(statement.query);
    // It calls when rows are fetched.
    if (facts.settings.splice(0).length > 0) facts.pins.add('setting');
    return this.#finish({ kind: 'utility', name: 'DECLARE CURSOR' }, facts);
  }

  // ---- Definitions and the rest -----------------------------------------------------------------------------------

  #createTableAs(): Statement {
    const materialized = this.#fields['objtype'] === 'OBJECT_MATVIEW';
    const query = this.#fields['query'];
    const into = this.#fields['into'];
    const empty = isFields(into) && into['skipData'] === true;
    return this.#definition(materialized ? 'CREATE MATERIALIZED VIEW' : 'CREATE TABLE AS', this.#fields, (walker) => {
      if (!empty) walker.facts.fills = materialized ? 'materialized view' : 'table';
      if (empty) walker.stored(query);
      else if (materialized) walker.stored(query, 'both');
      else walker.evaluated(query);
      const execute = nodeOf(query, 'ExecuteStmt');
      if (execute === undefined) return;
      // A temporary one is the lead's alone, unless what it executes writes.
      walker.facts.executes = textOf(execute['name']);
    });
  }

  #other(): Statement {
    const tag = this.#tag;
    const fields = this.#fields;
    const session = ofTheSession[tag];
    if (session !== undefined) {
      const name = tag === 'FetchStmt' && fields['ismove'] === true ? 'MOVE' : session.name;
      const statement = this.#utility(name, 'lead', session.pin);
      return session.unpin === undefined ? statement : { ...statement, unpins: [session.unpin] };
    }
    const writers = onWriters[tag];
    if (writers !== undefined) {
      const refresh = tag === 'RefreshMatViewStmt' ? fields : {};
      const how =
        refresh['skipData'] === true ? ' WITH NO DATA' : refresh['concurrent'] === true ? ' CONCURRENTLY' : '';
      return this.#utility(writers.name + how, 'writers', writers.pin);
    }
    const definition = definitionOf(tag);
    if (definition === undefined) return this.#utility(tag, 'writers', undefined, `unknown statement ${tag}`);
    const walk = (walker: Walker): void => this.#walkDefinition(walker);
    return this.#definition(definition.name, fields, walk, definition.route);
  }

  #utility(name: string, route: Route, pin: PinReason | undefined, reason: string = name): Statement {
    const temporary = route === 'writers' && isTemporary(this.#fields);
    const facts = temporary ? this.#facts('lead', TEMPORARY, pin) : this.#facts(route, reason, pin);
    const walker = this.#walker(facts);
    if (this.#tag === 'TruncateStmt') facts.partitions = 'taken away';
    if (this.#tag === 'TruncateStmt' && this.#fields['restart_seqs'] === true) facts.setsSequences = 'some';
    if (this.#tag === 'CallStmt' || reason !== name) walker.evaluated(this.#fields);
    // What LOCK and VACUUM name they do not read; what SET CONSTRAINTS names is no relation.
    else if (this.#tag !== 'ConstraintsSetStmt') walker.stored(this.#fields);
    return this.#finish({ kind: 'utility', name }, facts);
  }

  /** `subject`: the part of the tree that says what is defined, for temporary objects. */
  #definition(name: string, subject: Fields, walk: (walker: Walker) => void, route: Route = 'writers'): Statement {
    const temporary = isTemporary(subject);
    const facts = new Facts(temporary ? 'lead' : route, temporary ? TEMPORARY : name);
    for (const target of targetsOf(subject)) facts.relations.add(relationName(target));
    for (const listed of listedRelations(this.#tag, this.#fields)) facts.relations.add(listed);
    walk(this.#walker(facts));
    // A view of a temporary table is one itself.
    const over = this.#tag === 'ViewStmt' && facts.relations.some((relation) => isTemporarySchema(relation.schema));
    if (this.#tag === 'DropStmt') facts.unpins.add('temporary object');
    else if (temporary || over) facts.pins.add('temporary object');
    if (dropsAtCommit(subject)) facts.unpins.add('temporary object');
    const connections = needsNobody(this.#tag, this.#fields) ? 'none to a database' : 'any';
    const statement = this.#finish({ kind: 'definition', connections, ...definedBy(this.#tag, this.#fields) }, facts);
    return over ? { ...statement, route: 'lead', reason: TEMPORARY } : statement;
  }

  #walkDefinition(walker: Walker): void {
    const fields = this.#fields;
    const setting = fields['setstmt'];
    if (isFields(setting)) walker.setting(setting);
    if (this.#tag === 'DropStmt') walker.facts.partitions = 'taken away';
    if (this.#tag === 'AlterSeqStmt') walker.facts.setsSequences = 'some';
    for (const key in fields) {
      if (this.#tag === 'CreateStmt' && key === 'partbound') bound(fields[key], walker);
      else if (this.#tag !== 'AlterTableStmt' || key !== 'cmds') walker.stored(fields[key]);
      else for (const command of listOf(fields[key])) alteration(command, walker);
    }
    const until = stringOf(optionOf(listOf(fields['options']) as readonly Node[], 'validUntil')?.value);
    const bytes = Buffer.from(until ?? '');
    const word = timeWordIn(bytes, 0, bytes.length);
    if (word !== undefined) walker.facts.differs('volatile', `'${word}'`);
  }

  // ---- Assembling -------------------------------------------------------------------------------------------------

  #facts(route: Route, reason: string, pin: PinReason | undefined): Facts {
    const facts = new Facts(route, reason);
    if (pin !== undefined) facts.pins.add(pin);
    return facts;
  }

  #walker(facts: Facts): Walker {
    return new Walker(facts, this.#text);
  }

  #finish(command: Command, facts: Facts): Statement {
    return {
      span: { start: 0, end: 0 },
      node: this.#tag,
      command,
      route: facts.route,
      reason: facts.reason,
      pins: [...facts.pins],
      unpins: [...facts.unpins],
      settings: facts.settings,
      block: forbidsBlock(this.#tag, this.#fields) ? 'forbidden' : 'allowed',
      functions: facts.functions.list(),
      shadowable: [...facts.shadowable],
      attributes: [...facts.attributes],
      casts: [...facts.casts],
      stored: [...facts.stored],
      columns: [...facts.columns],
      operators: facts.operators.list(),
      relations: facts.relations.list(),
      inserts: facts.inserts.list(),
      nested: facts.nested,
      reads: facts.reads.list(),
      nondeterminism: facts.nondeterminism,
      conversions: [...facts.conversions],
      sequences: facts.sequences,
      unportable: [...facts.unportable],
      unportableOperators: facts.unportableOperators,
      order: [...facts.order],
      orderShown: [...facts.orderShown],
      durable: [...facts.durable],
      rewrites: facts.rewrites,
      partitions: facts.partitions,
      added: facts.added,
      fills: facts.fills,
      columnParameters: facts.columnParameters,
      needsSequenceState: facts.needsSequenceState,
      executes: facts.executes,
      planned: undefined,
      explains: false,
    };
  }
}

/** ON COMMIT DROP. */
function dropsAtCommit(subject: Fields): boolean {
  const into = isFields(subject['into'])
    ? subject['into']
    : isFields(subject['intoClause'])
      ? subject['intoClause']
      : subject;
  return (into['oncommit'] ?? into['onCommit']) === 'ONCOMMIT_DROP';
}

/** RangeVars of what is defined, so that they come first among the relations. */
function targetsOf(subject: Fields): RangeVar[] {
  const into = isFields(subject['into']) ? subject['into'] : subject;
  const candidates = [into['rel'], subject['relation'], subject['sequence'], subject['view'], subject['typevar']];
  return candidates.filter((one): one is RangeVar & Fields => isFields(one) && 'relname' in one);
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
