/** Messages of a frontend: what pprox sends to servers (PostgreSQL, "Message Formats", marked F). */
import { FrontendTag } from './tags.ts';
import { MessageWriter } from './writer.ts';

/** Protocol versions as their start-up packets carry them: major << 16 | minor. */
export const ProtocolVersion = { v30: 0x0003_0000, v32: 0x0003_0002 } as const;

export function encodeStartup(version: number, parameters: ReadonlyMap<string, string>): Buffer {
  const writer = new MessageWriter().beginUntyped().int32(version);
  for (const [name, value] of parameters) writer.cstring(name).cstring(value);
  return writer.uint8(0).end().finish();
}

export function encodeCancelRequest(processId: number, secretKey: Uint8Array): Buffer {
  return new MessageWriter().beginUntyped().int32(80877102).int32(processId).bytes(secretKey).end().finish();
}

/** Asks whether the server does TLS; one byte answers (manual, "SSL Session Encryption"). */
export function encodeSslRequest(): Buffer {
  return new MessageWriter().beginUntyped().int32(80877103).end().finish();
}

/** `text` without a terminating zero; bytes are in the session's client_encoding. */
export function encodeQuery(text: string | Buffer): Buffer {
  return new MessageWriter().begin(FrontendTag.Query).cstring(text).end().finish();
}

/** Parse of the unnamed statement with no parameter types, and the Sync that ends it. */
export function encodeParseSync(text: Buffer): Buffer {
  return new MessageWriter()
    .begin(FrontendTag.Parse)
    .cstring('')
    .cstring(text)
    .int16(0)
    .end()
    .begin(FrontendTag.Sync)
    .end()
    .finish();
}

export function encodePassword(password: string): Buffer {
  return new MessageWriter().begin(FrontendTag.PasswordMessage).cstring(password).end().finish();
}

export function encodeSaslInitialResponse(mechanism: string, response: string): Buffer {
  return new MessageWriter()
    .begin(FrontendTag.PasswordMessage)
    .cstring(mechanism)
    .int32(Buffer.byteLength(response))
    .text(response)
    .end()
    .finish();
}

export function encodeSaslResponse(response: string): Buffer {
  return new MessageWriter().begin(FrontendTag.PasswordMessage).text(response).end().finish();
}

export function encodeCopyFail(reason: string): Buffer {
  return new MessageWriter().begin(FrontendTag.CopyFail).cstring(reason).end().finish();
}

export const COPY_DONE: Buffer = new MessageWriter().begin(FrontendTag.CopyDone).end().finish();
export const SYNC: Buffer = new MessageWriter().begin(FrontendTag.Sync).end().finish();
export const TERMINATE: Buffer = new MessageWriter().begin(FrontendTag.Terminate).end().finish();
