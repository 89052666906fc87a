/**
 * Backend messages decoded into plain values (PostgreSQL manual, "Message Formats"), written apart from src/wire so
 * that the two cannot share a mistake. Byte values are views of the buffer that was decoded.
 */

export interface FieldDescription {
  readonly name: string;
  readonly table: number;
  readonly column: number;
  readonly type: number;
  readonly size: number;
  readonly modifier: number;
  readonly format: number;
}

/** One field of an ErrorResponse or NoticeResponse: its code letter and its text. */
export type ReportField = readonly [code: string, value: string];

export type BackendMessage =
  /** The single byte that answers SSLRequest and GSSENCRequest. */
  | { readonly type: 'EncryptionAnswer'; readonly answer: string }
  | { readonly type: 'Authentication'; readonly code: number; readonly data: Buffer }
  | { readonly type: 'BackendKeyData'; readonly pid: number; readonly secret: Buffer }
  | { readonly type: 'ParameterStatus'; readonly name: string; readonly value: string }
  | { readonly type: 'NegotiateProtocolVersion'; readonly newest: number; readonly unknown: readonly string[] }
  | { readonly type: 'ReadyForQuery'; readonly status: string }
  | { readonly type: 'RowDescription'; readonly fields: readonly FieldDescription[] }
  | { readonly type: 'DataRow'; readonly values: readonly (Buffer | null)[] }
  | { readonly type: 'CommandComplete'; readonly tag: string }
  | { readonly type: 'EmptyQueryResponse' }
  | { readonly type: 'ErrorResponse' | 'NoticeResponse'; readonly fields: readonly ReportField[] }
  | {
      readonly type: 'NotificationResponse';
      readonly pid: number;
      readonly channel: string;
      readonly payload: string;
    }
  | {
      readonly type: 'CopyInResponse' | 'CopyOutResponse' | 'CopyBothResponse';
      readonly format: number;
      readonly columns: readonly number[];
    }
  | { readonly type: 'CopyData'; readonly data: Buffer }
  | { readonly type: 'CopyDone' }
  | { readonly type: 'FunctionCallResponse'; readonly value: Buffer | null }
  | { readonly type: 'ParseComplete' | 'BindComplete' | 'CloseComplete' | 'NoData' | 'PortalSuspended' }
  | { readonly type: 'ParameterDescription'; readonly types: readonly number[] }
  /** Everything else, undecoded: what is no message of the protocol. */
  | { readonly type: 'Other'; readonly tag: string; readonly body: Buffer };

export type BackendMessageType = BackendMessage['type'];

class Reader {
  readonly #bytes: Buffer;
  #offset = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get remaining(): number {
    return this.#bytes.length - this.#offset;
  }

  int8(): number {
    return this.#bytes.readUInt8(this.#offset++);
  }

  int16(): number {
    this.#offset += 2;
    return this.#bytes.readInt16BE(this.#offset - 2);
  }

  int32(): number {
    this.#offset += 4;
    return this.#bytes.readInt32BE(this.#offset - 4);
  }

  uint32(): number {
    return this.int32() >>> 0;
  }

  string(): string {
    const end = this.#bytes.indexOf(0, this.#offset);
    if (end < 0) throw new Error('a string without its terminating zero');
    const text = this.#bytes.toString('utf8', this.#offset, end);
    this.#offset = end + 1;
    return text;
  }

  bytes(length: number = this.remaining): Buffer {
    if (length > this.remaining) throw new Error(`a value of ${length} bytes in ${this.remaining}`);
    this.#offset += length;
    return this.#bytes.subarray(this.#offset - length, this.#offset);
  }

  value(): Buffer | null {
    const length = this.int32();
    return length < 0 ? null : this.bytes(length);
  }

  list<T>(count: number, read: () => T): T[] {
    return Array.from({ length: count }, read);
  }
}

function field(reader: Reader): FieldDescription {
  return {
    name: reader.string(),
    table: reader.uint32(),
    column: reader.int16(),
    type: reader.uint32(),
    size: reader.int16(),
    modifier: reader.int32(),
    format: reader.int16(),
  };
}

function reportFields(reader: Reader): ReportField[] {
  const fields: ReportField[] = [];
  for (let code = reader.int8(); code !== 0; code = reader.int8()) {
    fields.push([String.fromCharCode(code), reader.string()]);
  }
  return fields;
}

const copyResponses = { G: 'CopyInResponse', H: 'CopyOutResponse', W: 'CopyBothResponse' } as const;

function decodeBody(tag: string, body: Buffer, reader: Reader): BackendMessage {
  switch (tag) {
    case 'R':
      return { type: 'Authentication', code: reader.int32(), data: reader.bytes() };
    case 'K':
      return { type: 'BackendKeyData', pid: reader.int32(), secret: reader.bytes() };
    case 'S':
      return { type: 'ParameterStatus', name: reader.string(), value: reader.string() };
    case 'v':
      return {
        type: 'NegotiateProtocolVersion',
        newest: reader.int32(),
        unknown: reader.list(reader.int32(), () => reader.string()),
      };
    case 'Z':
      return { type: 'ReadyForQuery', status: String.fromCharCode(reader.int8()) };
    case 'T':
      return { type: 'RowDescription', fields: reader.list(reader.int16(), () => field(reader)) };
    case 'D':
      return { type: 'DataRow', values: reader.list(reader.int16(), () => reader.value()) };
    case 'C':
      return { type: 'CommandComplete', tag: reader.string() };
    case 'I':
      return { type: 'EmptyQueryResponse' };
    case 'E':
      return { type: 'ErrorResponse', fields: reportFields(reader) };
    case 'N':
      return { type: 'NoticeResponse', fields: reportFields(reader) };
    case 'A':
      return {
        type: 'NotificationResponse',
        pid: reader.int32(),
        channel: reader.string(),
        payload: reader.string(),
      };
    case 'G':
    case 'H':
    case 'W':
      return {
        type: copyResponses[tag],
        format: reader.int8(),
        columns: reader.list(reader.int16(), () => reader.int16()),
      };
    case '1':
      return { type: 'ParseComplete' };
    case '2':
      return { type: 'BindComplete' };
    case '3':
      return { type: 'CloseComplete' };
    case 'n':
      return { type: 'NoData' };
    case 's':
      return { type: 'PortalSuspended' };
    case 't':
      return { type: 'ParameterDescription', types: reader.list(reader.int16() & 0xffff, () => reader.uint32()) };
    case 'd':
      return { type: 'CopyData', data: reader.bytes() };
    case 'c':
      return { type: 'CopyDone' };
    case 'V':
      return { type: 'FunctionCallResponse', value: reader.value() };
    default:
      return { type: 'Other', tag, body };
  }
}

/** Throws where the body does not have exactly the form that its tag promises. */
export function decodeMessage(tag: string, body: Buffer): BackendMessage {
  const reader = new Reader(body);
  const message = decodeBody(tag, body, reader);
  if (message.type !== 'Other' && reader.remaining > 0) {
    throw new Error(`${message.type} with ${reader.remaining} bytes too many`);
  }
  return message;
}
