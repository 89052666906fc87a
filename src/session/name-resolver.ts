/**
 * Names of prepared statements and portals in a client's messages: what they will stand for when the message's turn comes, if
 * everything in front of it succeeds.
 */
import { PproxError } from '../lib/errors.ts';
import {
  decodeBind,
  decodeExecute,
  decodeNamed,
  decodeParse,
  encodeParameterDescription,
  InvalidMessage,
  NO_DATA,
} from '../wire/extended.ts';
import type { FrontendMessage } from '../wire/frontend-reader.ts';
import { FrontendTag } from '../wire/tags.ts';
import { analyse } from './analysis.ts';
import { ClientStatement, describe, NAMED_OBJECTS, Portal } from './client-statement.ts';
import { isOurs } from './pipeline-rules.ts';
import { tooManyStatements } from './prepare.ts';
import type { SessionState } from './state.ts';
import type { Pending } from './step.ts';

export class NameResolver {
  readonly #session: SessionState;
  /** Names that waiting steps give, and take away (undefined). */
  readonly #statements = new Map<string, ClientStatement | undefined>();
  readonly #portals = new Map<string, Portal | undefined>();
  /** Whether the segment may have ended cursors that the session is pinned for. */
  cursors: 'as they were' | 'closed' = 'as they were';

  constructor(session: SessionState) {
    this.#session = session;
  }

  /** The waiting steps have run, or will not. */
  clear(): void {
    this.#statements.clear();
    this.#portals.clear();
  }

  /** A message's turn comes later: what is wrong with it is said then. */
  async resolve({ tag, body }: FrontendMessage): Promise<Pending> {
    try {
      switch (tag) {
        case FrontendTag.Parse:
          return await this.#parse(body);
        case FrontendTag.Bind:
          return this.#bind(body);
        case FrontendTag.Describe: {
          const { kind, name } = decodeNamed(body, 'DESCRIBE');
          if (kind === 'portal') {
            const portal = this.#findPortal(name);
            return portal === undefined ? { kind: 'describe cursor', name } : { kind: 'describe portal', portal };
          }
          return { kind: 'describe statement', statement: this.#statement(name) };
        }
        case FrontendTag.Close:
          return this.#close(body);
        default: {
          const { portal: name, limit } = decodeExecute(body);
          const portal = this.#findPortal(name);
          return portal === undefined ? { kind: 'execute cursor', name, limit } : { kind: 'execute', portal, limit };
        }
      }
    } catch (error) {
      if (error instanceof InvalidMessage) {
        const { message, where } = error;
        return { kind: 'refuse', error: new PproxError('protocol_violation', { message, where }) };
      }
      if (error instanceof PproxError) return { kind: 'refuse', error };
      throw error;
    }
  }

  async #parse(body: Buffer): Promise<Pending> {
    const session = this.#session;
    const { text: written, types, ...parse } = decodeParse(body);
    const name = cut(parse.name);
    const { text, positions, analysis } = await analyse(session, written);
    // A Parse of the unnamed statement ends the one before, even where it fails.
    const refused = (): void => {
      if (name === '') session.statements.delete('');
    };
    if (analysis.kind === 'unreadable') return { kind: 'unreadable', name, text, why: analysis.why };
    const [analysed, second] = analysis.statements;
    if (second !== undefined) {
      const message = 'cannot insert multiple commands into a prepared statement';
      return { kind: 'refuse', error: new PproxError('several_statements', { message }), refused };
    }
    if (name !== '' && this.#find(name) !== undefined) {
      const message = `prepared statement "${shown(parse.name)}" already exists`;
      return { kind: 'refuse', error: new PproxError('duplicate_statement', { message }), unless: written };
    }
    if (session.statements.size >= NAMED_OBJECTS) throw tooManyStatements();
    const statement = new ClientStatement(name, text, types, analysed, analysis.hint, positions);
    // Without a server, nobody says more of it than its Parse did.
    if (isOurs(statement)) statement.description = describe(encodeParameterDescription(types), NO_DATA);
    this.#statements.set(name, statement);
    const { description } = statement;
    const { done, undone } = naming(session.statements, name, statement);
    const renew = (): void => {
      statement.renew(description);
      undone();
    };
    return { kind: 'parse', statement, done, refused, undone: renew };
  }

  #bind(body: Buffer): Pending {
    const message = decodeBind(body);
    const { portals } = this.#session;
    if (portals.size >= NAMED_OBJECTS) throw tooManyPortals();
    const portal = new Portal(this.#statement(message.statement), message);
    const count = portal.statement.description?.types.length;
    if (count !== undefined && count !== message.values.length) {
      throw new PproxError('protocol_violation', {
        message: `bind message supplies ${message.values.length} parameters, but prepared statement "${shown(message.statement)}" requires ${count}`,
      });
    }
    const namesake = this.#findPortal(portal.name);
    this.#portals.set(portal.name, portal);
    const refused = (code: string | undefined): void => {
      if (code === undefined || IN_FRONT_OF_PORTAL.has(code)) return;
      portal.state = 'unfinished';
      portals.set(portal.name, portal);
    };
    return { kind: 'bind', portal, namesake, ...naming(portals, portal.name, portal), refused };
  }

  #close(body: Buffer): Pending {
    const { statements, portals } = this.#session;
    const { kind, ...named } = decodeNamed(body, 'CLOSE');
    const name = cut(named.name);
    if (kind === 'statement') {
      this.#statements.set(name, undefined);
      return { kind: 'close statement', ...naming(statements, name, undefined) };
    }
    const portal = this.#portals.get(name) ?? portals.get(name);
    this.#portals.set(name, undefined);
    if (portal === undefined) {
      this.cursors = 'closed';
      return { kind: 'close cursor', name };
    }
    return { kind: 'close portal', portal, ...naming(portals, name, undefined) };
  }

  #find(asked: string): ClientStatement | undefined {
    const name = cut(asked);
    return this.#statements.has(name) ? this.#statements.get(name) : this.#session.statements.get(name);
  }

  #statement(name: string): ClientStatement {
    const found = this.#find(name);
    if (found !== undefined) return found;
    const message =
      name === '' ? 'unnamed prepared statement does not exist' : `prepared statement "${shown(name)}" does not exist`;
    throw new PproxError('unknown_statement', { message });
  }

  #findPortal(name: string): Portal | undefined {
    return this.#portals.has(name) ? this.#portals.get(name) : this.#session.portals.get(name);
  }
}

/** What a name stands for from a step on (undefined: nothing), and what it stood for before, where that is to be so again. */
function naming<T>(
  names: Map<string, T>,
  name: string,
  value: T | undefined,
): { done: () => void; undone: () => void } {
  const set = (to: T | undefined): void => {
    if (to === undefined) names.delete(name);
    else names.set(name, to);
  };
  let before: { readonly value: T | undefined } | undefined;
  return {
    done: () => {
      before ??= { value: names.get(name) };
      set(value);
    },
    undone: () => {
      if (before !== undefined) set(before.value);
      before = undefined;
    },
  };
}

/** What Bind is refused for before it makes a portal; planning and values come behind. */
const IN_FRONT_OF_PORTAL: ReadonlySet<string> = new Set(['25P02', '08P01', '26000', '42P03', '0A000']);

/** Names are cut to NAMEDATALEN - 1 bytes. */
function cut(name: string): string {
  return name.slice(0, 63);
}

function tooManyPortals(): PproxError {
  return new PproxError('too_many_objects', {
    message: `a session has ${NAMED_OBJECTS} portals at most`,
    hint: 'Close those that are not needed, or end the transaction.',
  });
}

export function unknownPortal(name: string): PproxError {
  return new PproxError('unknown_portal', { message: `portal "${shown(name)}" does not exist` });
}

/** A name for the user's eyes. */
export function shown(name: string): string {
  return Buffer.from(name, 'latin1').toString('utf8');
}
