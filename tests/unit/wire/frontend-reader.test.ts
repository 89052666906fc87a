import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { type FrontendMessage, FrontendReader, FrontendStreamError } from '../../../src/wire/frontend-reader.ts';
import { copyData, copyDone, copyFail, flush, frame, query, sync } from '../../support/frontend-messages.ts';

const LIMIT = 1000;

function messages(stream: Buffer, cuts: readonly number[]): readonly FrontendMessage[] {
  const reader = new FrontendReader(LIMIT);
  const found: FrontendMessage[] = [];
  let from = 0;
  for (const cut of [...cuts, stream.length]) {
    reader.feed(Buffer.from(stream.subarray(from, cut)));
    from = cut;
    for (let message = reader.next(); message !== undefined; message = reader.next()) found.push(message);
  }
  assert.equal(reader.buffered, 0);
  return found;
}

/** COPY data joined, and the messages between. */
function copyParts(stream: Buffer, cuts: readonly number[]): readonly (Buffer | number)[] {
  const reader = new FrontendReader(LIMIT);
  const found: (Buffer | number)[] = [];
  let from = 0;
  for (const cut of [...cuts, stream.length]) {
    reader.feed(Buffer.from(stream.subarray(from, cut)));
    from = cut;
    for (let part = reader.nextCopyPart(); part !== undefined; part = reader.nextCopyPart()) {
      const last = found.at(-1);
      if (part.kind === 'message') found.push(part.message.tag);
      else if (typeof last === 'object') found[found.length - 1] = Buffer.concat([last, part.bytes]);
      else found.push(part.bytes);
    }
  }
  return found;
}

const cuts = fc.array(fc.nat(600), { maxLength: 30 });
const within = (at: readonly number[], size: number): number[] =>
  at.map((cut) => Math.min(cut, size)).sort((a, b) => a - b);

describe('the frontend reader', () => {
  test('gives the same messages for any cuts', () => {
    const some = fc.array(fc.tuple(fc.constantFrom('Q', 'P', 'S', 'X', 'd'), fc.uint8Array({ maxLength: 50 })), {
      maxLength: 10,
    });
    fc.assert(
      fc.property(some, cuts, (list, at) => {
        const stream = Buffer.concat(list.map(([tag, body]) => frame(tag, body)));
        const expected = list.map(([tag, body]) => ({ tag: tag.charCodeAt(0), body: Buffer.from(body) }));
        assert.deepEqual(messages(stream, within(at, stream.length)), expected);
      }),
    );
  });

  test('inside COPY gives the data as it came, headers included, and then the message that ends it, for any cuts', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 8 }), cuts, (list, at) => {
        const data = Buffer.concat(list.map((bytes) => copyData(bytes)));
        const stream = Buffer.concat([data, flush(), copyDone()]);
        const end = ['H'.charCodeAt(0), 'c'.charCodeAt(0)];
        const expected = data.length > 0 ? [data, ...end] : end;
        assert.deepEqual(copyParts(stream, within(at, stream.length)), expected);
      }),
    );
  });

  test('hands COPY data on as it arrives, long before its message is complete', () => {
    const reader = new FrontendReader(LIMIT);
    const big = copyData(Buffer.alloc(100_000));
    reader.feed(big.subarray(0, 4));
    assert.equal(reader.nextCopyPart(), undefined, 'not even the length is known');
    reader.feed(big.subarray(4, 1000));
    const part = reader.nextCopyPart();
    assert.ok(part?.kind === 'data' && part.bytes.length === 1000);
    assert.equal(reader.buffered, 0);
  });

  test('drops the rest of a COPY whose command has ended, and finds the next message behind it', () => {
    const reader = new FrontendReader(LIMIT);
    const data = copyData(Buffer.alloc(500));
    reader.feed(data.subarray(0, 100));
    assert.ok(reader.nextCopyPart() !== undefined);
    reader.feed(Buffer.concat([data.subarray(100), query('SELECT 1')]));
    assert.equal(reader.next()?.tag, 'Q'.charCodeAt(0));
  });

  test('drops that rest also where it came in several chunks before anybody asked', () => {
    const reader = new FrontendReader(LIMIT);
    const data = copyData(Buffer.alloc(500));
    reader.feed(data.subarray(0, 100));
    assert.ok(reader.nextCopyPart() !== undefined);
    reader.feed(data.subarray(100, 200));
    reader.feed(data.subarray(200, 300));
    reader.feed(Buffer.concat([data.subarray(300), query('SELECT 1')]));
    assert.equal(reader.next()?.tag, 'Q'.charCodeAt(0));
  });

  test('takes CopyFail inside COPY for the message it is', () => {
    const reader = new FrontendReader(LIMIT);
    reader.feed(Buffer.concat([copyData('1\n'), copyFail('changed my mind')]));
    assert.equal(reader.nextCopyPart()?.kind, 'data');
    const part = reader.nextCopyPart();
    assert.ok(part?.kind === 'message');
    assert.deepEqual(part.message.body, Buffer.from('changed my mind\0'));
  });

  const broken: Readonly<Record<string, { bytes: Buffer; message: RegExp }>> = {
    'an unknown type': { bytes: Buffer.from('?'), message: /invalid frontend message type 63/ },
    'a length below its own size': { bytes: frame('Q', Buffer.alloc(0), 3), message: /invalid message length/ },
    'a negative length': { bytes: frame('Q', Buffer.alloc(0), -1), message: /invalid message length/ },
    'a length above what PostgreSQL takes for the type': {
      bytes: frame('S', Buffer.alloc(0), 10_001),
      message: /invalid message length/,
    },
    'a length above the limit': {
      bytes: frame('Q', Buffer.alloc(0), LIMIT + 1),
      message: /larger than the 1000 bytes allowed/,
    },
  };
  for (const [what, { bytes, message }] of Object.entries(broken)) {
    test(`refuses ${what} as soon as it can be seen`, () => {
      for (const take of ['next', 'nextCopyPart'] as const) {
        const reader = new FrontendReader(LIMIT);
        reader.feed(bytes);
        assert.throws(
          () => reader[take](),
          (error) => error instanceof FrontendStreamError && message.test(error.message),
        );
      }
    });
  }

  test('lets COPY data be larger than any message that is held', () => {
    const reader = new FrontendReader(LIMIT);
    reader.feed(copyData(Buffer.alloc(LIMIT * 3)));
    assert.equal(reader.nextCopyPart()?.kind, 'data');
  });

  test('gives a message its own bytes and leaves what was sent ahead', () => {
    const reader = new FrontendReader(LIMIT);
    reader.feed(Buffer.concat([query('SELECT 1'), sync()]));
    assert.deepEqual(reader.next()?.body, Buffer.from('SELECT 1\0'));
    assert.equal(reader.buffered, sync().length);
  });
});
