/**
 * Frontend messages as bytes (PostgreSQL manual, "Message Formats"), written apart from src/wire so that the two
 * cannot share a mistake. Pure; every result is a new buffer that the caller owns.
 */

export const protocol30 = 0x0003_0000;
export const protocol32 = 0x0003_0002;

/** Any message with a type byte. `length` overrides the length word, for malformed messages. */
export function frame(type: string, body: Uint8Array, length: number = body.length + 4): Buffer {
  const header = Buffer.alloc(5);
  header.write(type, 0, 'latin1');
  header.writeInt32BE(length, 1);
  return Buffer.concat([header, body]);
}

/** A message without a type byte: the first of a connection. `length` overrides the length word. */
export function opening(code: number, body: Uint8Array, length: number = body.length + 8): Buffer {
  const header = Buffer.alloc(8);
  header.writeInt32BE(length, 0);
  header.writeInt32BE(code, 4);
  return Buffer.concat([header, body]);
}

export function cString(text: string): Buffer {
  return Buffer.from(`${text}\0`);
}

export function startupMessage(parameters: Readonly<Record<string, string>>, protocol: number = protocol30): Buffer {
  const pairs = Object.entries(parameters).flatMap(([name, value]) => [cString(name), cString(value)]);
  return opening(protocol, Buffer.concat([...pairs, Buffer.alloc(1)]));
}

export const sslRequest = (): Buffer => opening(80877103, Buffer.alloc(0));
export const gssEncRequest = (): Buffer => opening(80877104, Buffer.alloc(0));

export function cancelRequest(pid: number, secret: Uint8Array): Buffer {
  const process = Buffer.alloc(4);
  process.writeInt32BE(pid, 0);
  return opening(80877102, Buffer.concat([process, secret]));
}

export const query = (sql: string | Uint8Array): Buffer =>
  frame('Q', typeof sql === 'string' ? cString(sql) : Buffer.concat([sql, Buffer.alloc(1)]));
export const copyData = (data: string | Uint8Array): Buffer => frame('d', Buffer.from(data));
export const copyDone = (): Buffer => frame('c', Buffer.alloc(0));
export const copyFail = (reason: string): Buffer => frame('f', cString(reason));
export const passwordMessage = (password: string): Buffer => frame('p', cString(password));
export const terminate = (): Buffer => frame('X', Buffer.alloc(0));
export const sync = (): Buffer => frame('S', Buffer.alloc(0));
export const flush = (): Buffer => frame('H', Buffer.alloc(0));

const int16 = (value: number): Buffer => {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value & 0xffff, 0);
  return bytes;
};

/** Their number, then each of them. */
const int16s = (values: readonly number[]): Buffer => Buffer.concat([int16(values.length), ...values.map(int16)]);

const int32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value | 0, 0);
  return bytes;
};

/** A value with its length before it. Text is UTF-8; bytes are as they are; null is NULL. */
const parameter = (value: string | Uint8Array | null): Buffer => {
  if (value === null) return int32(-1);
  const bytes = Buffer.from(value);
  return Buffer.concat([int32(bytes.length), bytes]);
};

/** Parse. `types` are OIDs, 0 for one that the server is to find out; without them the server finds out all. */
export const parse = (name: string, sql: string, types: readonly number[] = []): Buffer =>
  frame('P', Buffer.concat([cString(name), cString(sql), int16(types.length), ...types.map(int32)]));

export interface Bound {
  readonly values?: readonly (string | Uint8Array | null)[];
  /** Format codes of the values: none for all text, one for all of them, or one for each. */
  readonly formats?: readonly number[];
  /** Format codes of the result's columns, in the same way. */
  readonly results?: readonly number[];
}

/** Bind; unless `bound` says otherwise with no parameters and text results. */
export const bind = (portal: string, statement: string, bound: Bound = {}): Buffer => {
  const values = bound.values ?? [];
  const head = Buffer.concat([cString(portal), cString(statement), int16s(bound.formats ?? [])]);
  return frame('B', Buffer.concat([head, int16(values.length), ...values.map(parameter), int16s(bound.results ?? [])]));
};

/** Execute; `limit` is the number of rows after which the portal is suspended, 0 for none. */
export const execute = (portal: string, limit: number = 0): Buffer =>
  frame('E', Buffer.concat([cString(portal), int32(limit)]));
export const describe = (kind: 'S' | 'P', name: string): Buffer => frame('D', cString(`${kind}${name}`));
export const close = (kind: 'S' | 'P', name: string): Buffer => frame('C', cString(`${kind}${name}`));

/** FunctionCall; unless `bound` says otherwise with text arguments and a text result. */
export function functionCall(oid: number, args: readonly (string | Uint8Array | null)[], bound: Bound = {}): Buffer {
  const head = Buffer.concat([int32(oid), int16s(bound.formats ?? [])]);
  const result = int16(bound.results?.[0] ?? 0);
  return frame('F', Buffer.concat([head, int16(args.length), ...args.map(parameter), result]));
}
