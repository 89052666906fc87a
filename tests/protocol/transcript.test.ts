import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { BackendMessage, FieldDescription } from '../support/backend-messages.ts';
import { compareTranscripts, transcript } from '../support/transcript.ts';

const field: FieldDescription = { name: 'id', table: 16400, column: 1, type: 23, size: 4, modifier: -1, format: 0 };
const fault = (position: string): BackendMessage => ({
  type: 'ErrorResponse',
  fields: [
    ['S', 'ERROR'],
    ['C', '42703'],
    ['M', 'column "pg_temp_3" does not exist'],
    ['P', position],
    ['F', 'parse_relation.c'],
    ['L', '3716'],
  ],
});

/** One of every message that an answer is made of. */
const answer: readonly BackendMessage[] = [
  { type: 'Authentication', code: 0, data: Buffer.alloc(0) },
  { type: 'ParameterStatus', name: 'TimeZone', value: 'UTC' },
  { type: 'ParameterStatus', name: 'DateStyle', value: 'ISO, MDY' },
  { type: 'BackendKeyData', pid: 4711, secret: Buffer.from('01020304', 'hex') },
  { type: 'ReadyForQuery', status: 'I' },
  { type: 'RowDescription', fields: [field, { ...field, name: 'kind', type: 16500 }] },
  { type: 'DataRow', values: [Buffer.from('1'), null] },
  { type: 'DataRow', values: [Buffer.from('2'), Buffer.from('ü\0')] },
  { type: 'CommandComplete', tag: 'SELECT 2' },
  { type: 'NotificationResponse', pid: 4711, channel: 'news', payload: 'x' },
  { type: 'ReadyForQuery', status: 'I' },
  fault('8'),
  { type: 'ReadyForQuery', status: 'E' },
  { type: 'CopyOutResponse', format: 0, columns: [0, 0] },
  { type: 'CopyData', data: Buffer.from('1\tx\n') },
  { type: 'CopyDone' },
  { type: 'CommandComplete', tag: 'COPY 1' },
  { type: 'ReadyForQuery', status: 'T' },
  { type: 'ParseComplete' },
  { type: 'ParameterDescription', types: [23, 16500] },
  { type: 'BindComplete' },
  { type: 'NoData' },
  { type: 'PortalSuspended' },
  { type: 'CloseComplete' },
  { type: 'ReadyForQuery', status: 'I' },
];

function differences(changed: readonly BackendMessage[], ended = true): number {
  return compareTranscripts(transcript(answer, true), transcript(changed, ended)).length;
}

/** The answer with one message in place of the one at `index`. */
function withMessage(index: number, message: BackendMessage): BackendMessage[] {
  return answer.map((old, at) => (at === index ? message : old));
}

describe('a transcript', () => {
  it('equals that of the same answer', () => {
    assert.equal(differences(structuredClone(answer).map(restoreBuffers)), 0);
  });

  const harmless: Readonly<Record<string, readonly BackendMessage[]>> = {
    'another process id and key': withMessage(3, { type: 'BackendKeyData', pid: 1, secret: Buffer.alloc(4) }),
    'another process id in a notification': withMessage(9, {
      type: 'NotificationResponse',
      pid: 1,
      channel: 'news',
      payload: 'x',
    }),
    'other OIDs of user tables and types': withMessage(5, {
      type: 'RowDescription',
      fields: [
        { ...field, table: 20000 },
        { ...field, table: 20000, name: 'kind', type: 20001 },
      ],
    }).map((message) => (message.type === 'ParameterDescription' ? { ...message, types: [23, 20001] } : message)),
    'another number of a temporary schema': answer.map((message) =>
      message.type === 'ErrorResponse'
        ? {
            ...message,
            fields: message.fields.map(([code, text]) => [code, text.replace('temp_3', 'temp_12')] as const),
          }
        : message,
    ),
    'another order of ParameterStatus messages in a row': [answer[0], answer[2], answer[1], ...answer.slice(3)].flatMap(
      (message) => message ?? [],
    ),
  };
  for (const [what, changed] of Object.entries(harmless)) {
    it(`does not show ${what}`, () => assert.equal(differences(changed), 0));
  }

  const faults: Readonly<Record<string, readonly BackendMessage[]>> = {
    'another length of the key': withMessage(3, { type: 'BackendKeyData', pid: 1, secret: Buffer.alloc(32) }),
    'another value of a parameter': withMessage(1, { type: 'ParameterStatus', name: 'TimeZone', value: 'GMT' }),
    'a ParameterStatus that moved past another message': [
      ...answer.slice(0, 1),
      ...answer.slice(2, 4),
      ...answer.slice(1, 2),
      ...answer.slice(4),
    ],
    'another column name': withMessage(5, { type: 'RowDescription', fields: [{ ...field, name: 'ID' }, field] }),
    'two columns of one table that are now of two': withMessage(5, {
      type: 'RowDescription',
      fields: [field, { ...field, name: 'kind', type: 16500, table: 16401 }],
    }),
    'another built-in type': withMessage(5, {
      type: 'RowDescription',
      fields: [
        { ...field, type: 20 },
        { ...field, name: 'kind', type: 16500 },
      ],
    }),
    'another type of a parameter': answer.map((message) =>
      message.type === 'ParameterDescription' ? { ...message, types: [20, 16500] } : message,
    ),
    'a type of a parameter that is not the column\u2019s': answer.map((message) =>
      message.type === 'ParameterDescription' ? { ...message, types: [23, 16501] } : message,
    ),
    'another type modifier': withMessage(5, {
      type: 'RowDescription',
      fields: [
        { ...field, modifier: 8 },
        { ...field, name: 'kind', type: 16500 },
      ],
    }),
    'an empty value in place of NULL': withMessage(6, { type: 'DataRow', values: [Buffer.from('1'), Buffer.alloc(0)] }),
    'the text NULL in place of NULL': withMessage(6, {
      type: 'DataRow',
      values: [Buffer.from('1'), Buffer.from('NULL')],
    }),
    'a byte less in a value': withMessage(7, { type: 'DataRow', values: [Buffer.from('2'), Buffer.from('ü')] }),
    'rows in another order': [...answer.slice(0, 6), ...answer.slice(7, 8), ...answer.slice(6, 7), ...answer.slice(8)],
    'another tag': withMessage(8, { type: 'CommandComplete', tag: 'SELECT 3' }),
    'another payload of a notification': withMessage(9, {
      type: 'NotificationResponse',
      pid: 4711,
      channel: 'news',
      payload: 'y',
    }),
    'another position of an error': withMessage(11, fault('9')),
    'an error with a field less': answer.map((message) =>
      message.type === 'ErrorResponse' ? { ...message, fields: message.fields.slice(0, -1) } : message,
    ),
    'another transaction status': withMessage(12, { type: 'ReadyForQuery', status: 'I' }),
    'COPY data in other pieces': [
      ...answer.slice(0, 14),
      { type: 'CopyData', data: Buffer.from('1\t') },
      { type: 'CopyData', data: Buffer.from('x\n') },
      ...answer.slice(15),
    ],
    'a byte that is no message': [...answer, { type: 'Other', tag: 'garbage', body: Buffer.from('?') }],
  };
  for (const [what, changed] of Object.entries(faults)) {
    it(`shows ${what}`, () => assert.ok(differences(changed) > 0));
  }

  for (const [index, message] of answer.entries()) {
    it(`shows that message ${index}, ${message.type}, is missing`, () => {
      assert.ok(differences(answer.filter((_, at) => at !== index)) > 0);
    });
    it(`shows that message ${index}, ${message.type}, came twice`, () => {
      assert.ok(differences([...answer.slice(0, index), message, ...answer.slice(index)]) > 0);
    });
  }

  it('shows that the connection stayed open', () => {
    assert.equal(differences(answer, false), 1);
  });
});

/** structuredClone makes plain byte arrays of buffers. */
function restoreBuffers(message: BackendMessage): BackendMessage {
  switch (message.type) {
    case 'Authentication':
      return { ...message, data: Buffer.from(message.data) };
    case 'CopyData':
      return { ...message, data: Buffer.from(message.data) };
    case 'BackendKeyData':
      return { ...message, secret: Buffer.from(message.secret) };
    case 'DataRow':
      return { ...message, values: message.values.map((value) => value && Buffer.from(value)) };
    default:
      return message;
  }
}
