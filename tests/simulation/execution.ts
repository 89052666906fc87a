/** What one message does on a server: its statements one after the other until one fails, waiting where others hold a lock. */
import { unreachable } from '../../src/lib/assert.ts';
import type { Database, Transaction } from './database.ts';
import type { Mode } from './locks.ts';
import { isOfACommit, type Operation, type Reply, type Statement } from './operations.ts';
import type { Server } from './server.ts';

/** What a statement waits for. */
export type Need = { readonly kind: 'lock'; readonly key: string; readonly mode: Mode } | { readonly kind: 'go on' };

export type Got = 'granted' | 'timeout' | 'deadlock' | 'cancelled';

/** Runs inside one server process. */
export interface Process {
  readonly name: string;
  readonly server: Server;
  transaction: Transaction | undefined;
  /** False: a crash has ended it in the middle. */
  readonly alive: boolean;
  /** The moment of a statement of a commit, before and after it. */
  struck(what: string): 'goes on' | 'stopped';
}

type Run<T> = Generator<Need, T, Got>;

const LOCK_ERRORS: Readonly<Record<Exclude<Got, 'granted'>, string>> = {
  timeout: '55P03',
  deadlock: '40P01',
  cancelled: '57014',
};

export function* execute(process: Process, statements: readonly Statement[]): Run<Reply> {
  const reply: Reply = { changed: [] };
  for (const statement of statements) {
    const notable = isOfACommit(statement);
    if (notable && process.struck(`before ${statement.kind}`) === 'stopped') yield { kind: 'go on' };
    if (!process.alive) break;
    const error = yield* perform(process, statement, reply);
    if (!process.alive) break;
    if (error !== undefined) {
      reply.error = error;
      reply.failed = statement.kind;
      if (process.transaction !== undefined) process.server.database.fail(process.transaction);
      break;
    }
    if (notable && process.struck(`after ${statement.kind}`) === 'stopped') yield { kind: 'go on' };
    if (!process.alive) break;
  }
  return reply;
}

function* perform(process: Process, statement: Statement, reply: Reply): Run<string | undefined> {
  const { server } = process;
  const { database, world } = server;
  switch (statement.kind) {
    case 'begin':
      process.transaction = database.begin(statement.id);
      return undefined;
    case 'rollback to savepoint':
      if (process.transaction !== undefined) database.rollbackToSavepoint(process.transaction, statement.name);
      return undefined;
    case 'commit':
    case 'rollback':
    case 'prepare':
      return end(process, statement, reply);
    case 'finish':
      return yield* finish(process, statement.id, statement.decision);
    case 'insert decision':
      return yield* insertDecision(process, statement.id, statement.committed);
    case 'list':
      reply.prepared = database.list();
      return undefined;
    case 'status':
      reply.fate = database.fate(statement.xid);
      return undefined;
    case 'read decision': {
      const found = database.decisions.get(statement.id);
      if (found !== undefined) reply.decision = found.committed ? 'commit' : 'abort';
      return undefined;
    }
    case 'delete fences': {
      const oldest = database.snapshotXmin();
      for (const { id, committed, xmin } of database.decisions.values()) {
        if (!committed && (statement.rule === 'all' || xmin < oldest)) database.decisions.delete(id);
      }
      return undefined;
    }
    case 'list commits':
      reply.ids = [...database.decisions.values()]
        .filter(({ committed, decidedAt }) => committed && decidedAt < statement.before)
        .map(({ id }) => id);
      return undefined;
    case 'delete decisions':
      for (const id of statement.ids) {
        world.log(() => `${server.name}: decision of ${id} deleted`);
        database.decisions.delete(id);
      }
      return undefined;
    default:
      return yield* withinTransaction(process, statement, reply);
  }
}

type Within = Extract<Statement, { kind: 'savepoint' | 'operation' | 'check' | 'xid' }>;

function* withinTransaction(process: Process, statement: Within, reply: Reply): Run<string | undefined> {
  const { transaction, server } = process;
  const { database } = server;
  if (transaction === undefined) return '25P01';
  if (transaction.failed) return '25P02';
  switch (statement.kind) {
    case 'savepoint':
      database.savepoint(transaction, statement.name);
      return undefined;
    case 'check':
      return transaction.violates ? '23514' : undefined;
    case 'xid':
      reply.xid = database.writeXid(transaction);
      return undefined;
    case 'operation':
      return yield* operate(database, transaction, statement.operation, reply);
    default:
      return unreachable(statement);
  }
}

function end(process: Process, statement: Statement & { kind: 'commit' | 'rollback' | 'prepare' }, reply: Reply) {
  const { transaction, server } = process;
  if (transaction === undefined) return statement.kind === 'rollback' ? undefined : '25P01';
  process.transaction = undefined;
  if (statement.kind === 'rollback' || transaction.failed) {
    server.rollback(transaction);
    reply.tag = 'ROLLBACK';
    return undefined;
  }
  reply.tag = 'done';
  return statement.kind === 'commit' ? server.commit(transaction) : server.prepare(transaction, statement.id);
}

/** COMMIT PREPARED and ROLLBACK PREPARED: one process at a time. */
function* finish(process: Process, id: string, decision: 'commit' | 'abort'): Run<string | undefined> {
  const { server } = process;
  const prepared = server.database.prepared.get(id);
  if (prepared === undefined) return '42704';
  if (prepared.endedBy?.alive === true) return '55000';
  prepared.endedBy = process;
  if (process.struck('during finish') === 'stopped') yield { kind: 'go on' };
  if (!process.alive) return undefined;
  prepared.endedBy = undefined;
  if (server.isRefusing('out of memory')) return '53200';
  return server.finish(id, decision);
}

/** In the open transaction, or in one of its own. */
function* insertDecision(process: Process, id: string, committed: boolean): Run<string | undefined> {
  const { server, transaction: open } = process;
  const { database, world } = server;
  if (open?.failed) return '25P02';
  const transaction = open ?? database.begin(`fence of ${id}`);
  const leave = (error: string): string => {
    if (open === undefined) database.rollback(transaction);
    return error;
  };
  if (open === undefined) process.transaction = transaction;
  const got = yield* take(`decision of ${id}`, 'exclusive');
  if (!process.alive) return undefined;
  if (open === undefined) process.transaction = undefined;
  if (got !== undefined) return leave(got);
  if (database.decisions.has(id)) return leave('23505');
  if (open !== undefined && server.isRefusing('disk full')) return '53100';
  const xmin = database.writeXid(transaction);
  transaction.decisions.push({ id, committed, xmin, decidedAt: world.now });
  if (open === undefined) {
    world.log(() => `${server.name}: fence of ${id} stands`);
    database.commit(transaction);
  }
  return undefined;
}

function* operate(
  database: Database,
  transaction: Transaction,
  operation: Operation,
  reply: Reply,
): Run<string | undefined> {
  switch (operation.kind) {
    case 'insert':
      return yield* insert(database, transaction, operation.key, reply);
    case 'insert child': {
      const error = yield* insert(database, transaction, operation.key, reply);
      if (error !== undefined) return error;
      if (!database.look(transaction, operation.parent).live) return '23503';
      const waited = yield* take(operation.parent, 'share');
      if (waited !== undefined) return waited;
      return database.look(transaction, operation.parent).live ? undefined : '23503';
    }
    case 'update':
      return yield* change(database, transaction, [operation.key], 'update', reply);
    case 'delete':
      return yield* change(database, transaction, [operation.key], 'exclusive', reply);
    case 'update rows':
      return yield* change(database, transaction, operation.keys, 'update', reply);
    case 'update where': {
      const matches = (key: string): boolean =>
        database.look(transaction, key).history.length % operation.modulus === operation.rest;
      return yield* change(database, transaction, operation.keys.filter(matches), 'update', reply, matches);
    }
    case 'savepoint':
      database.savepoint(transaction, 'client');
      return undefined;
    case 'rollback to savepoint':
      database.rollbackToSavepoint(transaction, 'client');
      return undefined;
    case 'violate at the end':
      transaction.violates = true;
      return undefined;
    default:
      return unreachable(operation);
  }
}

function* insert(database: Database, transaction: Transaction, key: string, reply: Reply): Run<string | undefined> {
  if (database.look(transaction, key).live && !database.locks.isWritten(key, transaction)) return '23505';
  const waited = yield* take(key, 'exclusive');
  if (waited !== undefined) return waited;
  if (database.look(transaction, key).live) return '23505';
  database.change(transaction, key, true);
  reply.changed = [key];
  return undefined;
}

/** Rows that are there, and still match when nobody else holds them. */
function* change(
  database: Database,
  transaction: Transaction,
  keys: readonly string[],
  mode: Mode,
  reply: Reply,
  matches: (key: string) => boolean = () => true,
): Run<string | undefined> {
  const changed: string[] = [];
  for (const key of keys) {
    if (!database.look(transaction, key).live) continue;
    const waited = yield* take(key, mode);
    if (waited !== undefined) return waited;
    if (!database.look(transaction, key).live || !matches(key)) continue;
    database.change(transaction, key, mode === 'update');
    changed.push(key);
  }
  reply.changed = changed;
  return undefined;
}

function* take(key: string, mode: Mode): Run<string | undefined> {
  const got = yield { kind: 'lock', key, mode };
  return got === 'granted' ? undefined : LOCK_ERRORS[got];
}
