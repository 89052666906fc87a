/**
 * The notation of single frontend messages in scripts: one message a line, in the manual's words.
 *
 *     Parse s (int4, 0): SELECT $1 + $2   the name and the parameter types may be missing; a type is a name of the table below or an OID
 *     Bind p s (1, 'x y', NULL, 0x0001) formats 0,0,0,1 results 1
 *                                         portal, statement, values (as text, or as bytes after 0x), format codes
 *     Describe statement s                or portal; without a name the unnamed one
 *     Execute p limit 10
 *     Close portal p                      or statement
 *     Flush
 *     Sync
 *     Query: SELECT 1
 *     Run (1) results 1: SELECT $1::int   Parse, Bind, Describe portal and Execute, of the unnamed statement and portal
 *     FunctionCall 177 (1, 2) formats 0 results 0
 *     raw P 7300                          a message of this type with these bytes as its body
 *
 * `""` is the empty name where another word follows.
 */
import {
  bind,
  type Bound,
  close,
  describe,
  execute,
  flush,
  frame,
  functionCall,
  parse,
  query,
  sync,
} from '../support/frontend-messages.ts';

const types: Readonly<Record<string, number>> = {
  bool: 16,
  bytea: 17,
  int8: 20,
  int2: 21,
  int4: 23,
  text: 25,
  json: 114,
  float4: 700,
  float8: 701,
  unknown: 705,
  'int4[]': 1007,
  'text[]': 1009,
  varchar: 1043,
  date: 1082,
  timestamp: 1114,
  timestamptz: 1184,
  numeric: 1700,
  uuid: 2950,
  jsonb: 3802,
};

export interface Notated {
  readonly bytes: Buffer;
  /** ReadyForQuery messages that it is answered with, unless it is skipped. */
  readonly readies: 0 | 1;
}

/** Throws where the line is none of the above. */
export function notated(line: string): Notated {
  const [, word = '', rest = ''] = /^(\w+)\s?(.*)$/s.exec(line) ?? [];
  const read = readers[word];
  if (read === undefined) throw new Error(`no message is written like this: ${line}`);
  return { bytes: read(new Words(rest)), readies: ['Sync', 'Query', 'FunctionCall'].includes(word) ? 1 : 0 };
}

type Read = (words: Words) => Buffer;

/** For messages that consist of words: nothing may be left behind them. */
const whole =
  (read: Read): Read =>
  (words) => {
    const bytes = read(words);
    words.end();
    return bytes;
  };

const readers: Readonly<Record<string, Read>> = {
  Parse: (words) => {
    const name = words.name();
    const given = words.list().map((value) => types[String(value)] ?? Number(value));
    if (given.some(Number.isNaN)) throw new Error('a type is a name of the table or a number');
    return parse(name, words.textAfterColon(), given);
  },
  Bind: whole((words) => {
    const [portal, statement] = [words.name(), words.name()];
    return bind(portal, statement, bound(words, words.list()));
  }),
  Describe: whole((words) => describe(words.kind(), words.name())),
  Execute: whole((words) => execute(words.name(), words.after('limit') ?? 0)),
  Close: whole((words) => close(words.kind(), words.name())),
  Flush: whole(flush),
  Sync: whole(sync),
  Query: (words) => query(words.textAfterColon()),
  Run: (words) => {
    const values = bound(words, words.list());
    const sql = words.textAfterColon();
    return Buffer.concat([parse('', sql), bind('', '', values), describe('P', ''), execute('')]);
  },
  FunctionCall: whole((words) => {
    const oid = Number(words.name());
    const values = words.list();
    return functionCall(oid, values, bound(words, values));
  }),
  raw: whole((words) => {
    const type = words.name();
    return frame(type, Buffer.from(words.name(), 'hex'));
  }),
};

function bound(words: Words, values: Bound['values'] = []): Bound {
  return { values, formats: words.codesAfter('formats'), results: words.codesAfter('results') };
}

/** Takes a line apart from its beginning. */
class Words {
  rest: string;

  constructor(text: string) {
    this.rest = text;
  }

  /** The next word, `""` as the empty one; empty too where an option, a list or the end follows. */
  name(): string {
    const word = /^(?:""|(?!(?:limit|formats|results)\b)[^\s():]+)/.exec(this.rest)?.[0];
    if (word === undefined) return '';
    this.#drop(word.length);
    return word === '""' ? '' : word;
  }

  kind(): 'S' | 'P' {
    const word = this.name();
    if (word !== 'statement' && word !== 'portal') throw new Error(`neither statement nor portal: ${word}`);
    return word === 'statement' ? 'S' : 'P';
  }

  /** Values in parentheses, where there are any. */
  list(): (string | Uint8Array | null)[] {
    if (!this.rest.startsWith('(')) return [];
    const values: (string | Uint8Array | null)[] = [];
    this.#drop(1);
    while (!this.rest.startsWith(')')) {
      const [text, quoted, bare] = /^(?:'((?:[^']|'')*)'|([^,)\s]+))\s*,?/.exec(this.rest) ?? [];
      if (text === undefined) throw new Error(`no list of values: ${this.rest}`);
      values.push(bare === undefined ? (quoted ?? '').replaceAll("''", "'") : value(bare));
      this.#drop(text.length);
    }
    this.#drop(1);
    return values;
  }

  after(option: string): number | undefined {
    return this.codesAfter(option)[0];
  }

  codesAfter(option: string): number[] {
    const [text, codes] = new RegExp(`^${option} (-?\\d+(?:,-?\\d+)*)`).exec(this.rest) ?? [];
    if (text === undefined || codes === undefined) return [];
    this.#drop(text.length);
    return codes.split(',').map(Number);
  }

  textAfterColon(): string {
    if (!this.rest.startsWith(':')) throw new Error(`a colon comes before the text: ${this.rest}`);
    return this.rest.slice(1).replace(/^ /, '');
  }

  end(): void {
    if (this.rest !== '') throw new Error(`too much: ${this.rest}`);
  }

  #drop(length: number): void {
    this.rest = this.rest.slice(length).trimStart();
  }
}

function value(bare: string): string | Uint8Array | null {
  if (bare === 'NULL') return null;
  return bare.startsWith('0x') ? Buffer.from(bare.slice(2), 'hex') : bare;
}
