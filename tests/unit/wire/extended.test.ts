import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import {
  decodeBind,
  decodeExecute,
  decodeNamed,
  decodeParse,
  decodeRowDescription,
  ExtendedWriter,
  InvalidMessage,
  withFormats,
} from '../../../src/wire/extended.ts';
import { MessageWriter } from '../../../src/wire/writer.ts';

/** The bodies of the messages that a writer has written, by their types; the Sync at the end left out. */
function bodies(bytes: Buffer): { tag: string; body: Buffer }[] {
  const found: { tag: string; body: Buffer }[] = [];
  for (let at = 0; at < bytes.length; ) {
    const size = bytes.readInt32BE(at + 1);
    found.push({ tag: bytes.toString('latin1', at, at + 1), body: bytes.subarray(at + 5, at + 1 + size) });
    at += size + 1;
  }
  assert.equal(found.pop()?.tag, 'S');
  return found;
}

const one = (writer: ExtendedWriter): Buffer => bodies(writer.sync())[0]?.body ?? Buffer.alloc(0);

const name = fc
  .string({ unit: 'binary', maxLength: 20 })
  .map((text) => Buffer.from(text).toString('latin1').replaceAll('\0', ''));
const bytes = fc.uint8Array({ maxLength: 50 }).map((array) => Buffer.from(array));
const text = bytes.map((buffer) => Buffer.from(buffer.filter((byte) => byte !== 0)));

describe('messages of extended queries', () => {
  test('Parse is read as it was written', () => {
    fc.assert(
      fc.property(name, text, fc.array(fc.nat(0x7fff_ffff), { maxLength: 5 }), (own, sql, types) => {
        assert.deepEqual(decodeParse(one(new ExtendedWriter().parse(own, sql, types))), {
          name: own,
          text: sql,
          types,
        });
      }),
    );
  });

  test('Bind is read as it was written', () => {
    const codes = fc.array(fc.constantFrom(0, 1), { maxLength: 1 });
    const values = fc.array(fc.option(bytes), { maxLength: 6 });
    fc.assert(
      fc.property(name, name, codes, values, codes, (portal, statement, formats, list, resultFormats) => {
        const message = { formats, values: list, resultFormats };
        const read = decodeBind(one(new ExtendedWriter().bind(portal, statement, message)));
        assert.deepEqual(read, { portal, statement, ...message });
      }),
    );
  });

  test('a Bind with as many parameters as the protocol has is read whole', () => {
    const values = Array.from({ length: 65_535 }, () => null);
    const read = decodeBind(one(new ExtendedWriter().bind('', '', { formats: [], values, resultFormats: [] })));
    assert.equal(read.values.length, 65_535);
  });

  test('Describe, Close and Execute are read as they were written', () => {
    const written = bodies(new ExtendedWriter().describe('portal', 'p').close('statement', 's').execute('p', 7).sync());
    assert.deepEqual(decodeNamed(written[0]?.body ?? Buffer.alloc(0), 'DESCRIBE'), { kind: 'portal', name: 'p' });
    assert.deepEqual(decodeNamed(written[1]?.body ?? Buffer.alloc(0), 'CLOSE'), { kind: 'statement', name: 's' });
    assert.deepEqual(decodeExecute(written[2]?.body ?? Buffer.alloc(0)), { portal: 'p', limit: 7 });
  });

  test('whatever else comes is refused, and never anything but InvalidMessage', () => {
    fc.assert(
      fc.property(bytes, (body) => {
        for (const decode of [decodeParse, decodeBind, decodeExecute]) {
          try {
            decode(body);
          } catch (error) {
            assert.ok(error instanceof InvalidMessage, String(error));
          }
        }
      }),
      { numRuns: 2000 },
    );
  });

  test('a RowDescription takes the formats of a portal', () => {
    const writer = new MessageWriter().begin(0x54).int16(2);
    for (const column of ['a', 'b']) writer.cstring(column).int32(1).int16(1).int32(23).int16(4).int32(-1).int16(0);
    const frame = writer.end().finish();
    const formatsOf = (described: Buffer): number[] => [described.readInt16BE(25), described.readInt16BE(45)];
    assert.deepEqual(formatsOf(withFormats(frame, [])), [0, 0]);
    assert.deepEqual(formatsOf(withFormats(frame, [1])), [1, 1]);
    assert.deepEqual(formatsOf(withFormats(frame, [0, 1])), [0, 1]);
    assert.deepEqual(decodeRowDescription(frame), [
      { name: 'a', type: 23, modifier: -1 },
      { name: 'b', type: 23, modifier: -1 },
    ]);
  });
});
