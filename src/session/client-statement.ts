/** Prepared statements and portals of the extended query protocol, as the client knows them. */
import { createHash } from 'node:crypto';
import type { Backend } from '../backend/backend.ts';
import type { Statement } from '../sql/statement.ts';
import { type Positions, samePositions } from '../sql/positions.ts';
import {
  type BindMessage,
  decodeParameterDescription,
  decodeRowDescription,
  type ResultColumn,
} from '../wire/extended.ts';
import { BackendTag } from '../wire/tags.ts';
import { UNNAMED_PORTAL } from './own-names.ts';
import type { RowLimit } from './row-limit.ts';

/** What a server says of a prepared statement: the answer to Describe. */
export interface Description {
  /** ParameterDescription, as it came. */
  readonly parameters: Buffer;
  readonly types: readonly number[];
  /** RowDescription or NoData, as it came. */
  readonly result: Buffer;
  readonly columns: readonly ResultColumn[];
}

export function describe(parameters: Buffer, result: Buffer): Description {
  const columns = result[0] === BackendTag.RowDescription ? decodeRowDescription(result) : [];
  return { parameters, types: decodeParameterDescription(parameters), result, columns };
}

/** Whether rows of both look alike to a client. Where they come from (table, column number) may differ. */
export function sameResult(a: Description, b: Description): boolean {
  return shapeOf(a) === shapeOf(b);
}

function shapeOf({ columns, types }: Description): string {
  return JSON.stringify([types, columns.map(({ name, type, modifier }) => [name, type, modifier])]);
}

/** Prepared statements, and portals, of one client: what a driver's cache holds, many times over. */
export const NAMED_OBJECTS = 10_000;

export class ClientStatement {
  /** The client's; empty for the unnamed statement. */
  readonly name: string;
  readonly text: Buffer;
  /** As in the client's Parse. */
  readonly types: readonly number[];
  /** Undefined where the text holds no statement. */
  readonly analysed: Statement | undefined;
  readonly hint: 'reader' | 'lead' | undefined;
  /** The PREPARE that has made it; undefined where a Parse has. */
  readonly written: Buffer | undefined;
  /** In the client's Parse or Query, of `text`. */
  readonly positions: Positions;
  /** As it was when the client's Parse was answered; undefined where nobody has needed to know. */
  description: Description | undefined;
  #serverName: { readonly reading: string; readonly name: string } | undefined;

  constructor(
    name: string,
    text: Buffer,
    types: readonly number[],
    analysed: Statement | undefined,
    hint: 'reader' | 'lead' | undefined,
    positions: Positions = samePositions,
    written?: Buffer,
  ) {
    this.name = name;
    this.text = text;
    this.types = types;
    this.analysed = analysed;
    this.hint = hint;
    this.positions = positions;
    this.written = written;
  }

  /** As it was before a server was asked: by the time when it is parsed anew its result may be another one. */
  renew(description: Description | undefined): void {
    this.description = description;
    this.#serverName = undefined;
  }

  /** The name of what it executes, where it is an EXECUTE. No server is sent its text: one of what it names is run. */
  get executes(): string | undefined {
    const command = this.analysed?.command;
    if (command?.kind !== 'execute' || this.analysed?.explains === true) return undefined;
    return Buffer.from(command.name).toString('latin1');
  }

  /**
   * Its name on servers: equal for statements of the same text, types and result that are read under the same settings, so
   * that clients share them, and other where any of these is other. A SHA-256 of them all: what is looked up is never
   * anything else. `description` must be known. `reading`: of the session's settings.
   */
  serverName(reading: string): string {
    if (this.#serverName?.reading !== reading) {
      const hash = createHash('sha256').update(JSON.stringify(this.types)).update('\0');
      if (this.description !== undefined) hash.update(shapeOf(this.description));
      hash.update('\0').update(this.text);
      if (reading !== '') hash.update('\0').update(reading);
      this.#serverName = { reading, name: `pprox_${hash.digest('base64url')}` };
    }
    return this.#serverName.name;
  }
}

export class Portal {
  /** The client's; empty for the unnamed portal. */
  readonly name: string;
  #statement: ClientStatement;
  #bind: BindMessage;
  #boundBy: 'client' | 'EXECUTE' = 'client';
  /** Which server session has it; undefined until it is bound for longer than one request. */
  place: Backend | undefined;
  /** `done`: it has been run to its end; `ended`: its transaction is over, and it is not there any more; `unfinished`: its Bind has failed, and with it the transaction. */
  state: 'open' | 'done' | 'unfinished' | 'ended' = 'open';

  /** Rows that a statement has returned and the client has not taken; the statement itself is done. */
  rest: RowLimit | undefined;

  constructor(statement: ClientStatement, bind: BindMessage) {
    this.name = bind.portal;
    this.#statement = statement;
    this.#bind = bind;
  }

  get statement(): ClientStatement {
    return this.#statement;
  }

  get bind(): BindMessage {
    return this.#bind;
  }

  /** Who has bound it: `EXECUTE`, where the client's Bind was of one. */
  get boundBy(): 'client' | 'EXECUTE' {
    return this.#boundBy;
  }

  /** The portal of an EXECUTE is one of the statement that it names, from when its arguments are known on. */
  execute(statement: ClientStatement, values: Pick<BindMessage, 'formats' | 'values'>): void {
    this.#statement = statement;
    this.#bind = { ...this.#bind, ...values, statement: statement.name };
    this.#boundBy = 'EXECUTE';
  }

  /** To its end, or to an error; one whose Bind has failed stays what it is. */
  ran(): void {
    if (this.state === 'open') this.state = 'done';
  }

  /** Nothing that has been run of it is left. */
  renew(): void {
    this.state = 'open';
    this.rest = undefined;
  }

  /** The same statement in other words. */
  retell(statement: ClientStatement): void {
    this.#statement = statement;
  }

  get serverName(): string {
    return this.name === '' ? UNNAMED_PORTAL : this.name;
  }
}
