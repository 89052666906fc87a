/** FunctionCall and its answer (PostgreSQL, "Message Formats"). */
import { MessageReader } from './reader.ts';
import { FrontendTag, HEADER_BYTES } from './tags.ts';
import { MessageWriter } from './writer.ts';

export interface FunctionCall {
  readonly oid: number;
  /** Each in its own format; null for NULL. Shares the message's memory. */
  readonly args: readonly { readonly value: Buffer | null; readonly format: 'text' | 'binary' }[];
  readonly result: 'text' | 'binary';
}

/** `body`: the message without type and length. Throws ShortMessage. */
export function decodeFunctionCall(body: Buffer): FunctionCall {
  const reader = new MessageReader(body, 0, body.length);
  const oid = reader.int32();
  const formats = Array.from({ length: Math.max(0, reader.int16()) }, () => reader.int16());
  const args = Array.from({ length: Math.max(0, reader.int16()) }, (_, index) => {
    const length = reader.int32();
    const format = formats.length === 1 ? formats[0] : formats[index];
    return { value: length < 0 ? null : reader.bytes(length), format: format === 1 ? 'binary' : 'text' } as const;
  });
  return { oid, args, result: reader.int16() === 1 ? 'binary' : 'text' };
}

/** The whole message around a body that came from a client. */
export function frameFunctionCall(body: Buffer): Buffer {
  return new MessageWriter().begin(FrontendTag.FunctionCall).bytes(body).end().finish();
}

/** A call with binary 32-bit integers, and a binary result. */
export function encodeFunctionCall(oid: number, args: readonly number[]): Buffer {
  const writer = new MessageWriter().begin(FrontendTag.FunctionCall).int32(oid).int16(1).int16(1).int16(args.length);
  for (const arg of args) writer.int32(4).int32(arg | 0);
  return writer.int16(1).end().finish();
}

/** A 32-bit integer as an argument or a result carries it; undefined where it is none. */
export function decodeInteger(value: Buffer | null | undefined, format: 'text' | 'binary'): number | undefined {
  if (value === null || value === undefined) return undefined;
  if (format === 'binary') return value.length === 4 ? value.readInt32BE() : undefined;
  const text = value.toString('latin1').trim();
  return /^[+-]?\d{1,10}$/.test(text) ? Number(text) | 0 : undefined;
}

/** The value of a FunctionCallResponse frame; null for NULL. Shares the frame's memory. */
export function decodeFunctionCallResponse(frame: Buffer): Buffer | null {
  const reader = new MessageReader(frame, HEADER_BYTES, frame.length);
  const length = reader.int32();
  return length < 0 ? null : reader.bytes(length);
}
