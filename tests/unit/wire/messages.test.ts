import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import {
  decodeBackendKeyData,
  decodeCommandTag,
  decodeDataRow,
  decodeParameterStatus,
  decodeReadyForQuery,
  encodeBackendKeyData,
  encodeCommandComplete,
  encodeNegotiateProtocolVersion,
  encodeParameterStatus,
  encodeReadyForQuery,
} from '../../../src/wire/backend.ts';
import { decodeErrorFields, encodeError, encodeNotice } from '../../../src/wire/error-fields.ts';
import { encodeCancelRequest, encodeCopyFail, encodeQuery, encodeStartup } from '../../../src/wire/frontend.ts';
import { MessageReader, ShortMessage } from '../../../src/wire/reader.ts';
import { MessageWriter } from '../../../src/wire/writer.ts';
import { decodeMessage } from '../../support/backend-messages.ts';
import { cancelRequest, copyFail, query, startupMessage } from '../../support/frontend-messages.ts';

/** Text as it may stand in a message: no zero. */
const text = fc.string({ unit: 'binary', maxLength: 400 }).filter((some) => !some.includes('\0'));

function seen(frame: Buffer): ReturnType<typeof decodeMessage> {
  assert.equal(frame.readInt32BE(1), frame.length - 1, 'the length counts itself and not the type');
  return decodeMessage(frame.toString('latin1', 0, 1), frame.subarray(5));
}

describe('messages', () => {
  test('what is written field by field is read field by field', () => {
    const field = fc.oneof(
      fc.record({ kind: fc.constant('int16' as const), value: fc.integer({ min: -0x8000, max: 0x7fff }) }),
      fc.record({ kind: fc.constant('int32' as const), value: fc.integer() }),
      fc.record({ kind: fc.constant('cstring' as const), value: text }),
    );
    fc.assert(
      fc.property(fc.array(field), (fields) => {
        const writer = new MessageWriter().begin(0x51);
        for (const { kind, value } of fields) {
          if (kind === 'int16') writer.int16(value);
          else if (kind === 'int32') writer.int32(value);
          else writer.cstring(value);
        }
        const frame = writer.end().finish();
        const reader = new MessageReader(frame, 5, frame.length);
        for (const { kind, value } of fields) assert.equal(reader[kind](), value);
        assert.equal(reader.remaining, 0);
      }),
    );
  });

  test('several messages in one writer keep their own lengths, and a finished buffer is not written to again', () => {
    const writer = new MessageWriter();
    const first = writer.begin(0x41).cstring('x'.repeat(1000)).end().begin(0x42).end().finish();
    const copy = Buffer.from(first);
    writer.begin(0x43).cstring('y'.repeat(1000)).end().finish();
    assert.deepEqual(first, copy);
    assert.equal(first.readInt32BE(1), 4 + 1001);
    assert.equal(first.readInt32BE(1 + 4 + 1001 + 1), 4);
  });

  test('a read beyond the end of the message is refused, even where the buffer goes on', () => {
    const buffer = Buffer.from('abc\0def\0');
    for (const read of ['uint8', 'int16', 'int32', 'cstring'] as const) {
      assert.throws(() => new MessageReader(buffer, 3, 3)[read](), ShortMessage);
    }
    assert.throws(() => new MessageReader(buffer, 4, 7).cstring(), ShortMessage, 'the zero is the next message’s');
    assert.throws(() => new MessageReader(buffer, 0, 8).bytes(-1), ShortMessage);
  });

  test('backend messages are what an independent decoder reads', () => {
    fc.assert(
      fc.property(text, text, (name, value) => {
        const parameter = encodeParameterStatus(name, value);
        assert.deepEqual(seen(parameter), { type: 'ParameterStatus', name, value });
        assert.deepEqual(decodeParameterStatus(parameter, 0, parameter.length), { name, value });
        const tag = encodeCommandComplete(value);
        assert.deepEqual(seen(tag), { type: 'CommandComplete', tag: value });
        assert.equal(decodeCommandTag(tag, 0, tag.length), value);
      }),
    );
    assert.deepEqual(seen(encodeReadyForQuery(0x54)), { type: 'ReadyForQuery', status: 'T' });
    assert.equal(decodeReadyForQuery(encodeReadyForQuery(0x45), 0, 6), 0x45);
    const secret = Buffer.from('0123456789abcdef');
    const key = encodeBackendKeyData(77, secret);
    assert.deepEqual(seen(key), { type: 'BackendKeyData', pid: 77, secret });
    assert.deepEqual(decodeBackendKeyData(key, 0, key.length), { processId: 77, secretKey: secret });
    assert.deepEqual(seen(encodeNegotiateProtocolVersion(0x30002, ['_pq_.a', '_pq_.b'])), {
      type: 'NegotiateProtocolVersion',
      newest: 0x30002,
      unknown: ['_pq_.a', '_pq_.b'],
    });
  });

  test('frontend messages are what an independent encoder writes', () => {
    const parameters = { user: 'müller', database: 'd', options: '-c x=1' };
    assert.deepEqual(encodeStartup(0x30000, new Map(Object.entries(parameters))), startupMessage(parameters));
    assert.deepEqual(encodeQuery('SELECT ä'), query('SELECT ä'));
    assert.deepEqual(encodeQuery(Buffer.from([0xe4])), query(Buffer.from([0xe4])), 'bytes of any encoding stay');
    assert.deepEqual(encodeCopyFail('why'), copyFail('why'));
    const secret = Buffer.from('secret');
    assert.deepEqual(encodeCancelRequest(0x7fff_ffff, secret), cancelRequest(0x7fff_ffff, secret));
  });

  test('the fields of an error are kept, and those it does not have stay away', () => {
    const full = {
      severity: 'ERROR',
      code: '23514',
      message: 'm',
      detail: 'd',
      hint: 'h',
      position: 7,
      where: 'w',
    } as const;
    const frame = encodeError(full);
    assert.deepEqual(decodeErrorFields(frame, 0, frame.length), full);
    const bare = encodeNotice({ severity: 'WARNING', code: '01000', message: 'careful' });
    assert.deepEqual(seen(bare), {
      type: 'NoticeResponse',
      fields: [
        ['S', 'WARNING'],
        ['V', 'WARNING'],
        ['C', '01000'],
        ['M', 'careful'],
      ],
    });
    const { detail, hint, position } = decodeErrorFields(bare, 0, bare.length);
    assert.deepEqual([detail, hint, position], [undefined, undefined, undefined]);
  });

  test('the severity of an error does not depend on the language of the server', () => {
    const frame = new MessageWriter().begin(0x45).uint8(0x53).cstring('FEHLER').uint8(0x56).cstring('ERROR').uint8(0);
    const bytes = frame.end().finish();
    assert.equal(decodeErrorFields(bytes, 0, bytes.length).severity, 'ERROR');
  });

  test('values of a row are read with NULL apart from the empty string', () => {
    const row = new MessageWriter().begin(0x44).int16(3).int32(-1).int32(0).int32(2).text('hi').end().finish();
    assert.deepEqual(decodeDataRow(row, 0, row.length), [null, Buffer.alloc(0), Buffer.from('hi')]);
  });
});
