/**
 * The canonical transcript of a connection: a line for each backend message, with all of its fields, so that the
 * transcripts of two servers that did the same are equal as text.
 *
 * What differs between two equal servers is replaced, and nothing else:
 * - process ids and cancel keys (the key's length stays);
 * - OIDs of what users created (16384 and up) in RowDescription and ParameterDescription, by the order in which they
 *   first appear;
 * - the numbers in the names of temporary and TOAST schemas and tables;
 * - the order of ParameterStatus messages that come in a row, which PostgreSQL takes from a hash table.
 */
import { unreachable } from '../../src/lib/assert.ts';
import type { BackendMessage, FieldDescription } from './backend-messages.ts';

/** The answer to one step: the lines up to and including a ReadyForQuery, or what came after the last one. */
export type Section = readonly string[];

const firstUserOid = 16384;

/** Numbers for the OIDs of one transcript. */
class Names {
  readonly #seen = new Map<string, number>();

  name(kind: 'table' | 'type', oid: number): string {
    if (oid < firstUserOid) return `${kind}=${oid}`;
    const key = `${kind}${oid}`;
    const known = this.#seen.get(key) ?? this.#seen.size + 1;
    this.#seen.set(key, known);
    return `${kind}#${known}`;
  }
}

function canonicalText(text: string): string {
  return text.replace(/\bpg_temp_\d+/g, 'pg_temp_#').replace(/\bpg_toast(_temp)?_\d+/g, 'pg_toast$1_#');
}

/** Readable where it is text, hexadecimal where it is not. */
function showBytes(bytes: Buffer): string {
  const text = bytes.toString('utf8');
  const isText =
    Buffer.from(text).equals(bytes) && bytes.every((byte) => byte >= 0x20 || [0x00, 0x09, 0x0a, 0x0d].includes(byte));
  return isText ? JSON.stringify(canonicalText(text)) : `0x${bytes.toString('hex')}`;
}

function showValue(value: Buffer | null): string {
  return value === null ? 'NULL' : showBytes(value);
}

function showField(field: FieldDescription, names: Names): string {
  const { name, table, column, type, size, modifier, format } = field;
  const origin = `${names.name('table', table)}.${column}`;
  return `${JSON.stringify(name)} ${origin} ${names.name('type', type)} size=${size} mod=${modifier} format=${format}`;
}

function showMessage(message: BackendMessage, names: Names): string {
  switch (message.type) {
    case 'EncryptionAnswer':
      return `EncryptionAnswer ${message.answer}`;
    case 'Authentication':
      return `Authentication ${message.code} ${showBytes(message.data)}`;
    case 'BackendKeyData':
      return `BackendKeyData pid=# secret=# of ${message.secret.length} bytes`;
    case 'ParameterStatus':
      return `ParameterStatus ${message.name}=${JSON.stringify(message.value)}`;
    case 'NegotiateProtocolVersion':
      return `NegotiateProtocolVersion ${message.newest} ${JSON.stringify(message.unknown)}`;
    case 'ReadyForQuery':
      return `ReadyForQuery ${message.status}`;
    case 'RowDescription':
      return ['RowDescription', ...message.fields.map((field) => showField(field, names))].join('\n    ');
    case 'DataRow':
      return `DataRow ${message.values.map(showValue).join(' | ')}`;
    case 'CommandComplete':
      return `CommandComplete ${message.tag}`;
    case 'ErrorResponse':
    case 'NoticeResponse': {
      const fields = message.fields.map(([code, value]) => `${code}=${JSON.stringify(canonicalText(value))}`);
      return [message.type, ...fields].join('\n    ');
    }
    case 'NotificationResponse':
      return `NotificationResponse pid=# ${JSON.stringify(message.channel)} ${JSON.stringify(message.payload)}`;
    case 'CopyInResponse':
    case 'CopyOutResponse':
    case 'CopyBothResponse':
      return `${message.type} format=${message.format} columns=${message.columns.join(',')}`;
    case 'CopyData':
      return `CopyData ${showBytes(message.data)}`;
    case 'FunctionCallResponse':
      return `FunctionCallResponse ${showValue(message.value)}`;
    case 'ParameterDescription':
      return `ParameterDescription ${message.types.map((type) => names.name('type', type)).join(', ')}`;
    case 'Other':
      return `Other ${message.tag} ${showBytes(message.body)}`;
    case 'EmptyQueryResponse':
    case 'CopyDone':
    case 'ParseComplete':
    case 'BindComplete':
    case 'CloseComplete':
    case 'NoData':
    case 'PortalSuspended':
      return message.type;
    default:
      return unreachable(message);
  }
}

/** Sorts each row of neighbouring ParameterStatus messages by name. */
function inStableOrder(messages: readonly BackendMessage[]): BackendMessage[] {
  const result: BackendMessage[] = [];
  for (const message of messages) {
    let place = result.length;
    if (message.type === 'ParameterStatus') {
      for (; place > 0; place--) {
        const before = result[place - 1];
        if (before?.type !== 'ParameterStatus' || before.name <= message.name) break;
      }
    }
    result.splice(place, 0, message);
  }
  return result;
}

/** `ended`: whether the server closed the connection, which belongs to the transcript as its last line. */
export function transcript(messages: readonly BackendMessage[], ended: boolean): Section[] {
  const names = new Names();
  const sections: string[][] = [];
  let lines: string[] = [];
  for (const message of inStableOrder(messages)) {
    lines.push(showMessage(message, names));
    if (message.type === 'ReadyForQuery') {
      sections.push(lines);
      lines = [];
    }
  }
  if (ended) lines.push('(closed)');
  if (lines.length > 0) sections.push(lines);
  return sections;
}

/** SQLSTATEs of the errors in a section, in order. */
export function errorCodes(section: Section): string[] {
  return section
    .filter((line) => line.startsWith('ErrorResponse'))
    .map((line) => /\n {4}C="([^"]*)"/.exec(line)?.[1] ?? '?');
}

export interface Difference {
  readonly section: number;
  /** For people: both sides from the first line that differs. */
  readonly text: string;
}

const linesShown = 12;

function show(title: string, section: Section | undefined, from: number): string {
  if (section === undefined) return `  ${title}: nothing`;
  const rest = section.slice(from, from + linesShown).map((line) => `    ${line.slice(0, 2000)}`);
  return [`  ${title}, from line ${from + 1} of ${section.length}:`, ...rest].join('\n');
}

/** Sections that differ, in order; none where the transcripts are equal. */
export function compareTranscripts(expected: readonly Section[], actual: readonly Section[]): Difference[] {
  const differences: Difference[] = [];
  for (let index = 0; index < Math.max(expected.length, actual.length); index++) {
    const left = expected[index] ?? [];
    const right = actual[index] ?? [];
    const length = Math.max(left.length, right.length);
    const line = Array.from({ length }, (_, at) => at).find((at) => left[at] !== right[at]);
    if (line === undefined) continue;
    const text = `${show('PostgreSQL', expected[index], line)}\n${show('subject', actual[index], line)}`;
    differences.push({ section: index, text });
  }
  return differences;
}
