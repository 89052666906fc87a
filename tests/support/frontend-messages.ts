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

/** Parse with no parameter types given. */
export const parse = (name: string, sql: string): Buffer =>
  frame('P', Buffer.concat([cString(name), cString(sql), Buffer.alloc(2)]));

/** Bind with no parameters and text results. */
export const bind = (portal: string, statement: string): Buffer =>
  frame('B', Buffer.concat([cString(portal), cString(statement), Buffer.alloc(6)]));

export const execute = (portal: string): Buffer => frame('E', Buffer.concat([cString(portal), Buffer.alloc(4)]));
export const describe = (kind: 'S' | 'P', name: string): Buffer => frame('D', cString(`${kind}${name}`));
export const close = (kind: 'S' | 'P', name: string): Buffer => frame('C', cString(`${kind}${name}`));

/** FunctionCall with text arguments and a text result. */
export function functionCall(oid: number, args: readonly string[]): Buffer {
  const head = Buffer.alloc(8);
  head.writeInt32BE(oid, 0); // then no argument formats: all text
  head.writeInt16BE(args.length, 6);
  const values = args.map((text) => {
    const length = Buffer.alloc(4);
    length.writeInt32BE(Buffer.byteLength(text), 0);
    return Buffer.concat([length, Buffer.from(text)]);
  });
  return frame('F', Buffer.concat([head, ...values, Buffer.alloc(2)]));
}
