/** A statement of a Query message. */
import type { Backend } from '../backend/backend.ts';
import type { Node } from '../cluster/node.ts';
import { type Positions, positionsThrough, type Rewritten } from '../sql/positions.ts';
import type { Statement } from '../sql/statement.ts';
import { encodeQuery } from '../wire/frontend.ts';
import { ExtendedRequest } from './extended-request.ts';
import { type Addition, type Execution, type Request, type Sending, withAddition } from './request.ts';
import type { SessionState } from './state.ts';

export class SimpleRequest implements Request {
  readonly statements = 'one';
  readonly followerTypes = 'as on the lead';
  readonly text: Buffer;
  readonly #session: SessionState;
  readonly #end: number;

  /** `end`: where the statement ends in `text`. */
  constructor(session: SessionState, text: Buffer, end: number) {
    this.#session = session;
    this.text = text;
    this.#end = end;
  }

  prepare(): undefined {
    return undefined;
  }

  prepareFollowers(): undefined {
    return undefined;
  }

  encode(_backend: Backend, addition?: Addition): Sending {
    return { message: encodeQuery(withAddition(this.text, this.#end, addition)), replies: undefined };
  }

  /** `text` has the addition already. */
  encodeFor(_node: Node, text: Buffer): Buffer {
    return encodeQuery(text);
  }

  executed(statement: Statement): Statement {
    return statement;
  }

  executing(execution: Execution): Request {
    return ExtendedRequest.forQuery(this.#session, execution);
  }

  values(): readonly string[] {
    return [];
  }

  get positions(): Positions {
    return this.#session.link.positions;
  }

  retold({ text, positions }: Rewritten, analysed: Statement): Request {
    this.#session.link.positions = positionsThrough(positions, this.positions);
    return new SimpleRequest(this.#session, text, analysed.span.end);
  }

  rowLimit(): undefined {
    return undefined;
  }

  completed(held: Buffer | undefined): Buffer | undefined {
    return held;
  }

  say(): void {
    return undefined;
  }
}
