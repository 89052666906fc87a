/** Fields of ErrorResponse and NoticeResponse (PostgreSQL, "Error and Notice Message Fields"). */
import { MessageReader } from './reader.ts';
import { BackendTag, HEADER_BYTES } from './tags.ts';
import { MessageWriter } from './writer.ts';

/** query_canceled: a cancel request, a timeout, or CopyFail. */
export const QUERY_CANCELED = '57014';

export type Severity = 'ERROR' | 'FATAL' | 'PANIC' | 'WARNING' | 'NOTICE' | 'DEBUG' | 'INFO' | 'LOG';

export interface ErrorFields {
  readonly severity: Severity;
  /** SQLSTATE, five characters. */
  readonly code: string;
  readonly message: string;
  readonly detail?: string | undefined;
  readonly hint?: string | undefined;
  /** Characters from 1 in the query text. */
  readonly position?: number | undefined;
  readonly where?: string | undefined;
  /** The routine that reports it: drivers tell some errors by it alone. */
  readonly routine?: string | undefined;
}

function encode(tag: number, fields: ErrorFields): Buffer {
  const writer = new MessageWriter().begin(tag);
  const field = (key: string, value: string | undefined): void => {
    if (value !== undefined) writer.uint8(key.charCodeAt(0)).cstring(value);
  };
  field('S', fields.severity);
  field('V', fields.severity);
  field('C', fields.code);
  field('M', fields.message);
  field('D', fields.detail);
  field('H', fields.hint);
  field('P', fields.position === undefined ? undefined : String(fields.position));
  field('W', fields.where);
  field('R', fields.routine);
  return writer.uint8(0).end().finish();
}

export function encodeError(fields: ErrorFields): Buffer {
  return encode(BackendTag.ErrorResponse, fields);
}

export function encodeNotice(fields: ErrorFields): Buffer {
  return encode(BackendTag.NoticeResponse, fields);
}

/** Reads a whole frame, `chunk[start]` being its type byte. Throws ShortMessage. */
export function decodeErrorFields(chunk: Buffer, start: number, end: number): ErrorFields {
  const reader = new MessageReader(chunk, start + HEADER_BYTES, end);
  const found = new Map<string, string>();
  for (;;) {
    const key = reader.uint8();
    if (key === 0) break;
    found.set(String.fromCharCode(key), reader.cstring());
  }
  const position = found.get('P');
  return {
    severity: (found.get('V') ?? found.get('S') ?? 'ERROR') as Severity,
    code: found.get('C') ?? 'XX000',
    message: found.get('M') ?? '',
    detail: found.get('D'),
    hint: found.get('H'),
    position: position === undefined ? undefined : Number(position),
    where: found.get('W'),
  };
}

/** The same message with what `positions` makes of its position in the query text. Takes a whole frame; throws ShortMessage. */
export function movePosition(
  chunk: Buffer,
  start: number,
  end: number,
  positions: (position: number) => number,
): Buffer {
  const reader = new MessageReader(chunk, start + HEADER_BYTES, end);
  const writer = new MessageWriter().begin(chunk[start] ?? 0);
  for (;;) {
    const key = reader.uint8();
    writer.uint8(key);
    if (key === 0) return writer.end().finish();
    const value = reader.cstringBytes();
    writer.cstring(key === POSITION ? String(positions(Number(value.toString('latin1')))) : value);
  }
}

const POSITION = 'P'.charCodeAt(0);
