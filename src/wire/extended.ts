/**
 * Messages of the extended query protocol (PostgreSQL, "Extended Query"): decoded as a client sends them, encoded as
 * a server takes them. Names are latin1 strings: bytes as they came, whatever the client's encoding.
 */
import { MessageReader, ShortMessage } from './reader.ts';
import { BackendTag, FrontendTag, HEADER_BYTES } from './tags.ts';
import { MessageWriter } from './writer.ts';

/** A format code: 0 is text, 1 binary. */
export type FormatCode = number;

export interface ParseMessage {
  readonly name: string;
  readonly text: Buffer;
  /** Object identifiers of parameter types; 0, or none at all, leaves a type to the server. */
  readonly types: readonly number[];
}

export interface BindMessage {
  readonly portal: string;
  readonly statement: string;
  /** Format codes: none (all text), one for all, or one each. */
  readonly formats: readonly FormatCode[];
  readonly values: readonly (Buffer | null)[];
  readonly resultFormats: readonly FormatCode[];
}

/** Describe and Close: of a statement or a portal. */
export interface NamedObject {
  readonly kind: 'statement' | 'portal';
  readonly name: string;
}

export interface ExecuteMessage {
  readonly portal: string;
  /** Rows at most; 0: all. Negative counts mean all, too. */
  readonly limit: number;
}

const STATEMENT = 0x53;
const PORTAL = 0x50;

/** A message that a server would refuse with these words (SQLSTATE 08P01). */
export class InvalidMessage extends Error {
  override readonly name = 'InvalidMessage';
  /** CONTEXT, where the server would give one. */
  readonly where: string | undefined;

  constructor(message: string, where?: string) {
    super(message);
    this.where = where;
  }
}

/** Every decoder takes the fields without type and length, and throws InvalidMessage. */
export function decodeParse(body: Buffer): ParseMessage {
  return whole(body, (reader) => {
    const name = reader.cstringBytes().toString('latin1');
    const text = reader.cstringBytes();
    return { name, text, types: list(reader, () => reader.int32()) };
  });
}

export function decodeBind(body: Buffer): BindMessage {
  return whole(body, (reader) => {
    const portal = reader.cstringBytes().toString('latin1');
    const statement = reader.cstringBytes().toString('latin1');
    const formats = list(reader, () => reader.int16());
    const count = reader.int16() & 0xffff;
    if (formats.length > 1 && formats.length !== count) {
      throw new InvalidMessage(`bind message has ${formats.length} parameter formats but ${count} parameters`);
    }
    const values = Array.from({ length: count }, (_, index) => {
      try {
        const size = reader.int32();
        return size === -1 ? null : reader.bytes(size);
      } catch (error) {
        if (!(error instanceof ShortMessage)) throw error;
        const name = portal === '' ? 'unnamed portal' : `portal "${Buffer.from(portal, 'latin1').toString('utf8')}"`;
        throw new InvalidMessage('insufficient data left in message', `${name} parameter $${index + 1}`);
      }
    });
    return { portal, statement, formats, values, resultFormats: list(reader, () => reader.int16()) };
  });
}

/** `message`: its name in the error. */
export function decodeNamed(body: Buffer, message: 'DESCRIBE' | 'CLOSE'): NamedObject {
  return whole(body, (reader) => {
    if (reader.remaining === 0) throw new InvalidMessage('no data left in message');
    const kind = reader.uint8();
    const name = reader.cstringBytes().toString('latin1');
    if (kind !== STATEMENT && kind !== PORTAL) throw new InvalidMessage(`invalid ${message} message subtype ${kind}`);
    return { kind: kind === STATEMENT ? 'statement' : 'portal', name };
  });
}

export function decodeExecute(body: Buffer): ExecuteMessage {
  return whole(body, (reader) => {
    const portal = reader.cstringBytes().toString('latin1');
    return { portal, limit: Math.max(reader.int32(), 0) };
  });
}

function list(reader: MessageReader, next: () => number): number[] {
  return Array.from({ length: reader.int16() & 0xffff }, next);
}

/** In PostgreSQL's words for what is too short or too long (pqformat.c). */
function whole<T>(body: Buffer, decode: (reader: MessageReader) => T): T {
  const reader = new MessageReader(body, 0, body.length);
  let message: T;
  try {
    message = decode(reader);
  } catch (error) {
    if (!(error instanceof ShortMessage)) throw error;
    throw new InvalidMessage(
      error.message.startsWith('string') ? 'invalid string in message' : 'insufficient data left in message',
    );
  }
  if (reader.remaining > 0) throw new InvalidMessage('invalid message format');
  return message;
}

/** Several messages in a row, for one write. */
export class ExtendedWriter {
  readonly #writer = new MessageWriter();

  parse(name: string, text: Buffer, types: readonly number[]): this {
    this.#writer.begin(FrontendTag.Parse).cstring(latin1(name)).cstring(text).int16(unsigned(types.length));
    for (const type of types) this.#writer.int32(type);
    this.#writer.end();
    return this;
  }

  bind(portal: string, statement: string, message: Pick<BindMessage, 'formats' | 'values' | 'resultFormats'>): this {
    this.#writer.begin(FrontendTag.Bind).cstring(latin1(portal)).cstring(latin1(statement));
    this.#codes(message.formats);
    this.#writer.int16(unsigned(message.values.length));
    for (const value of message.values) {
      this.#writer.int32(value === null ? -1 : value.length);
      if (value !== null) this.#writer.bytes(value);
    }
    this.#codes(message.resultFormats);
    this.#writer.end();
    return this;
  }

  describe(kind: NamedObject['kind'], name: string): this {
    return this.#named(FrontendTag.Describe, kind, name);
  }

  close(kind: NamedObject['kind'], name: string): this {
    return this.#named(FrontendTag.Close, kind, name);
  }

  execute(portal: string, limit: number): this {
    this.#writer.begin(FrontendTag.Execute).cstring(latin1(portal)).int32(limit).end();
    return this;
  }

  /** What has been written so far, for what goes on behind it. */
  unended(): Buffer {
    return this.#writer.finish();
  }

  /** Ends the sequence: the server answers it with one ReadyForQuery. */
  sync(): Buffer {
    return this.#writer.begin(FrontendTag.Sync).end().finish();
  }

  #codes(codes: readonly FormatCode[]): void {
    this.#writer.int16(unsigned(codes.length));
    for (const code of codes) this.#writer.int16(code);
  }

  #named(tag: number, kind: NamedObject['kind'], name: string): this {
    this.#writer
      .begin(tag)
      .uint8(kind === 'statement' ? STATEMENT : PORTAL)
      .cstring(latin1(name))
      .end();
    return this;
  }
}

/** Counts go up to 65,535 in a field of 16 bits. */
function unsigned(count: number): number {
  return (count << 16) >> 16;
}

function latin1(name: string): Buffer {
  return Buffer.from(name, 'latin1');
}

const empty = (tag: number): Buffer => new MessageWriter().begin(tag).end().finish();

export const PARSE_COMPLETE: Buffer = empty(BackendTag.ParseComplete);
export const BIND_COMPLETE: Buffer = empty(BackendTag.BindComplete);
export const CLOSE_COMPLETE: Buffer = empty(BackendTag.CloseComplete);
export const PORTAL_SUSPENDED: Buffer = empty(BackendTag.PortalSuspended);
export const NO_DATA: Buffer = empty(BackendTag.NoData);

export function encodeParameterDescription(types: readonly number[]): Buffer {
  const writer = new MessageWriter().begin(BackendTag.ParameterDescription).int16(types.length);
  for (const type of types) writer.int32(type);
  return writer.end().finish();
}

/** `frame`: a whole ParameterDescription. */
export function decodeParameterDescription(frame: Buffer): readonly number[] {
  const reader = new MessageReader(frame, 5, frame.length);
  return list(reader, () => reader.int32());
}

/** A column of a result, as far as a client relies on it to stay the same. */
export interface ResultColumn {
  readonly name: string;
  readonly type: number;
  readonly modifier: number;
}

/** `frame`: a whole RowDescription. */
export function decodeRowDescription(frame: Buffer): readonly ResultColumn[] {
  const reader = new MessageReader(frame, 5, frame.length);
  const count = reader.int16();
  return Array.from({ length: count }, () => {
    const name = reader.cstringBytes().toString('latin1');
    reader.int32(); // table
    reader.int16(); // column of the table
    const type = reader.int32();
    reader.int16(); // size
    const modifier = reader.int32();
    reader.int16(); // format
    return { name, type, modifier };
  });
}

/** A copy of a RowDescription with a portal's result formats: none (all text), one for all, or one each. NoData stays. */
export function withFormats(frame: Buffer, formats: readonly FormatCode[]): Buffer {
  const described = Buffer.from(frame);
  if (described[0] !== BackendTag.RowDescription) return described;
  const count = described.readInt16BE(HEADER_BYTES);
  let at = HEADER_BYTES + 2;
  for (let index = 0; index < count; index++) {
    at = described.indexOf(0, at) + 1 + COLUMN_BYTES;
    described.writeInt16BE((formats.length === 1 ? formats[0] : formats[index]) ?? 0, at - 2);
  }
  return described;
}

/** Of a column in a RowDescription, behind its name: table, number, type, size, modifier, format. */
const COLUMN_BYTES = 18;
