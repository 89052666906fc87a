/** Messages of a backend: what pprox sends to clients and reads from servers (PostgreSQL, "Message Formats", marked B). */
import { MessageReader } from './reader.ts';
import { BackendTag, HEADER_BYTES } from './tags.ts';
import { MessageWriter } from './writer.ts';

export const AUTHENTICATION_OK: Buffer = new MessageWriter().begin(BackendTag.Authentication).int32(0).end().finish();
export const EMPTY_QUERY_RESPONSE: Buffer = new MessageWriter().begin(BackendTag.EmptyQueryResponse).end().finish();

export function encodeReadyForQuery(status: number): Buffer {
  return new MessageWriter().begin(BackendTag.ReadyForQuery).uint8(status).end().finish();
}

export function encodeCommandComplete(tag: string): Buffer {
  return new MessageWriter().begin(BackendTag.CommandComplete).cstring(tag).end().finish();
}

export function encodeParameterStatus(name: string, value: string): Buffer {
  return new MessageWriter().begin(BackendTag.ParameterStatus).cstring(name).cstring(value).end().finish();
}

export function encodeBackendKeyData(processId: number, secretKey: Uint8Array): Buffer {
  return new MessageWriter().begin(BackendTag.BackendKeyData).int32(processId).bytes(secretKey).end().finish();
}

/** `minor`: the newest minor version of protocol 3 that is served. */
export function encodeNegotiateProtocolVersion(version: number, unrecognised: readonly string[]): Buffer {
  const writer = new MessageWriter()
    .begin(BackendTag.NegotiateProtocolVersion)
    .int32(version)
    .int32(unrecognised.length);
  for (const name of unrecognised) writer.cstring(name);
  return writer.end().finish();
}

// Decoders take a whole frame: `chunk[start]` is its type byte. All throw ShortMessage.

export function decodeCommandTag(chunk: Buffer, start: number, end: number): string {
  return new MessageReader(chunk, start + HEADER_BYTES, end).cstring();
}

export function decodeParameterStatus(chunk: Buffer, start: number, end: number): { name: string; value: string } {
  const reader = new MessageReader(chunk, start + HEADER_BYTES, end);
  return { name: reader.cstring(), value: reader.cstring() };
}

export function decodeReadyForQuery(chunk: Buffer, start: number, end: number): number {
  return new MessageReader(chunk, start + HEADER_BYTES, end).uint8();
}

export function decodeBackendKeyData(
  chunk: Buffer,
  start: number,
  end: number,
): { processId: number; secretKey: Buffer } {
  const reader = new MessageReader(chunk, start + HEADER_BYTES, end);
  return { processId: reader.int32(), secretKey: Buffer.from(reader.rest()) };
}

/** Column values in text format; null for NULL. Copies. */
export function decodeDataRow(chunk: Buffer, start: number, end: number): (Buffer | null)[] {
  const reader = new MessageReader(chunk, start + HEADER_BYTES, end);
  return readFields(reader, reader.int16()).map((value) => value && Buffer.from(value));
}

/** The next `count` column values of a DataRow; null for NULL. Not copied. */
export function readFields(reader: MessageReader, count: number): (Buffer | null)[] {
  const values: (Buffer | null)[] = [];
  for (let index = 0; index < count; index++) {
    const size = reader.int32();
    values.push(size < 0 ? null : reader.bytes(size));
  }
  return values;
}

/** `payload` is left out: nothing here reads it. */
/** `values`: null for NULL. */
export function encodeDataRow(values: readonly (Buffer | null)[]): Buffer {
  const writer = new MessageWriter().begin(BackendTag.DataRow).int16(values.length);
  for (const value of values) {
    if (value === null) writer.int32(-1);
    else writer.int32(value.length).bytes(value);
  }
  return writer.end().finish();
}

export function decodeNotification(chunk: Buffer, start: number, end: number): { processId: number; channel: string } {
  const reader = new MessageReader(chunk, start + HEADER_BYTES, end);
  return { processId: reader.int32(), channel: reader.cstring() };
}

/** A NotificationResponse frame of its own, with another process id. */
export function withProcessId(frame: Buffer, processId: number): Buffer {
  const copy = Buffer.from(frame);
  copy.writeInt32BE(processId, HEADER_BYTES);
  return copy;
}
