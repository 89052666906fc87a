/**
 * Statements in which a server itself looks for a prepared one by the client's name: EXPLAIN EXECUTE, CREATE TABLE … AS
 * EXECUTE, pg_prepared_statements. It stands there for them under that name, until the next session uses the connection.
 */
import type { Backend } from '../backend/backend.ts';
import { Collector } from '../backend/receiver.ts';
import type { Node } from '../cluster/node.ts';
import { FIRST_NORMAL_OID, translateTypes } from '../cluster/type-names.ts';
import type { Positions, Rewritten } from '../sql/positions.ts';
import type { Statement } from '../sql/statement.ts';
import { ExtendedWriter } from '../wire/extended.ts';
import { encodeQuery } from '../wire/frontend.ts';
import type { ClientStatement } from './client-statement.ts';
import { statementKey, unknownStatement } from './prepare.ts';
import { ServerError } from './reply.ts';
import type { Addition, Execution, Request, Sending } from './request.ts';
import type { RowLimit } from './row-limit.ts';
import { closeStatements } from '../backend/statement-closing.ts';
import type { SessionState } from './state.ts';

/** What is to be run in its place; the same where no name is looked for. Throws PproxError where nothing has it. */
export function withOwnStatements(
  session: SessionState,
  statement: Statement,
  request: Request,
): { readonly statement: Statement; readonly request: Request } {
  if (statement.executes !== undefined) {
    const named = session.statements.get(statementKey(statement.executes));
    if (named === undefined) throw unknownStatement(statement.executes);
    return {
      statement: executing(statement, named),
      request: new NamingRequest(session, request, [named], 'beside others'),
    };
  }
  if (!listsStatements(statement)) return { statement, request };
  const all = [...session.statements.values()].filter(({ name }) => name !== '');
  return { statement, request: new NamingRequest(session, request, all, 'alone') };
}

function listsStatements({ relations, nondeterminism }: Statement): boolean {
  return (
    relations.some(({ name }) => name === 'pg_prepared_statements') ||
    nondeterminism.some(({ name }) => name === 'pg_prepared_statement()')
  );
}

/** What the statement does by what it executes: nothing can be put into that text, nor added to it. */
function executing(statement: Statement, { analysed }: ClientStatement): Statement {
  const shown = statement.node === 'ExplainStmt' && !statement.explains;
  if (analysed === undefined || shown) return statement;
  const fixed = analysed.nondeterminism.map((one) => ({ ...one, span: undefined, type: undefined }));
  const merged: Statement = {
    ...statement,
    pins: [...statement.pins, ...analysed.pins],
    settings: [...statement.settings, ...analysed.settings],
    functions: [...statement.functions, ...analysed.functions],
    shadowable: [...statement.shadowable, ...analysed.shadowable],
    attributes: [...statement.attributes, ...analysed.attributes],
    casts: [...statement.casts, ...analysed.casts],
    operators: [...statement.operators, ...analysed.operators],
    relations: [...statement.relations, ...analysed.relations],
    inserts: [...statement.inserts, ...analysed.inserts],
    nondeterminism: [...fixed, ...statement.nondeterminism.map((one) => ({ ...one, span: undefined }))],
    conversions: [...statement.conversions, ...analysed.conversions],
    sequences: statement.sequences.calls === 'none' ? analysed.sequences : statement.sequences,
    needsSequenceState: statement.needsSequenceState || analysed.needsSequenceState,
  };
  if (!statement.explains) return analysed.route === 'writers' ? { ...merged, route: 'writers' } : merged;
  return { ...merged, command: analysed.command, route: statement.route === 'writers' ? 'writers' : analysed.route };
}

class NamingRequest implements Request {
  readonly #session: SessionState;
  readonly #request: Request;
  readonly #named: readonly ClientStatement[];
  readonly #company: 'alone' | 'beside others';

  constructor(
    session: SessionState,
    request: Request,
    named: readonly ClientStatement[],
    company: 'alone' | 'beside others',
  ) {
    this.#session = session;
    this.#request = request;
    this.#named = named;
    this.#company = company;
  }

  get text(): Buffer {
    return this.#request.text;
  }

  get positions(): Positions {
    return this.#request.positions;
  }

  values(): readonly string[] {
    return this.#request.values();
  }

  get statements(): 'one' | 'several' {
    return this.#request.statements;
  }

  /** A follower has to be told the names. */
  get followerTypes(): 'to be asked' {
    return 'to be asked';
  }

  async prepare(backend: Backend, addition?: Addition): Promise<void> {
    await this.#name(backend);
    await this.#request.prepare(backend, addition);
  }

  async prepareFollowers(targets: readonly { readonly node: Node; readonly backend: Backend }[]): Promise<void> {
    for (const { backend } of targets) await this.#name(backend);
    await this.#request.prepareFollowers(targets);
  }

  /** Rejects with ServerError where the server refuses one of them, and with BackendLostError. */
  async #name(backend: Backend): Promise<void> {
    const { prepared } = backend;
    const inTheWay = new Set([...prepared.takeLent(), ...this.#named.map(({ name }) => name)]);
    if (this.#company === 'alone') for (const name of prepared.take()) inTheWay.add(name);
    if (inTheWay.size > 0) await closeStatements(backend, inTheWay);
    for (const statement of this.#named) {
      const { name, written, text } = statement;
      const types = written === undefined ? await this.#types(backend, statement) : [];
      const collector = new Collector();
      prepared.lend(name);
      backend.send(
        written === undefined ? new ExtendedWriter().parse(name, text, types).sync() : encodeQuery(written),
        collector,
      );
      await this.#session.cancellable(backend, collector.reply);
      if (collector.errorFrame !== undefined) throw new ServerError(collector.errorFrame);
    }
  }

  /** Types of the user's own have other numbers on other servers. */
  async #types(backend: Backend, { types }: ClientStatement): Promise<readonly number[]> {
    const own = types.filter((type) => type >= FIRST_NORMAL_OID);
    const { block } = this.#session;
    const lead = block.kind === 'writers' ? block.legs.lead.lease.backend : undefined;
    if (own.length === 0 || lead === undefined || lead === backend) return types;
    const there = await translateTypes(lead, backend, own);
    return types.map((type) => there.get(type) ?? type);
  }

  encode(backend: Backend, addition?: Addition, rows?: 'as asked' | 'all rows'): Sending {
    return this.#request.encode(backend, addition, rows);
  }

  encodeFor(node: Node, text: Buffer, addition?: Addition): Buffer {
    return this.#request.encodeFor(node, text, addition);
  }

  executed(statement: Statement): Statement {
    return this.#request.executed(statement);
  }

  executing(execution: Execution): Request {
    return this.#request.executing(execution);
  }

  retold(told: Rewritten, analysed: Statement): Request {
    return new NamingRequest(this.#session, this.#request.retold(told, analysed), this.#named, this.#company);
  }

  rowLimit(): RowLimit | undefined {
    return this.#request.rowLimit();
  }

  completed(held: Buffer | undefined): Buffer | undefined {
    return this.#request.completed(held);
  }

  say(): void {
    this.#request.say();
  }
}
