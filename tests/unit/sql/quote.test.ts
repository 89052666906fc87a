import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { partsOf, qualified, quoteIdentifier, quoteLiteral, withEscapes } from '../../../src/sql/quote.ts';
import { statementOf } from './reading.ts';

test('quotes are doubled', () => {
  assert.equal(quoteIdentifier('a"b'), '"a""b"');
  assert.equal(quoteLiteral("it's"), "'it''s'");
  assert.equal(qualified({ schema: 'S', name: 'a"b' }), '"S"."a""b"');
  assert.equal(qualified({ schema: undefined, name: 't' }), '"t"');
});

test('PostgreSQL reads back every name as it was', () => {
  // A longer name would be cut by the server, and by the parser.
  const name = fc
    .string({ unit: 'grapheme', minLength: 1, maxLength: 10 })
    .filter((text) => !text.includes('\0') && Buffer.byteLength(text) < 64);
  fc.assert(
    fc.property(name, name, (schema, table) => {
      const { relations } = statementOf(`TABLE ${qualified({ schema, name: table })}`);
      assert.deepEqual(relations, [{ schema, name: table }]);
    }),
  );
});

test('PostgreSQL reads back every text as it was', () => {
  const text = fc.string({ unit: 'grapheme' }).filter((one) => !one.includes('\0') && one !== '');
  fc.assert(
    fc.property(text, (sequence) => {
      assert.deepEqual(statementOf(`SELECT nextval(${quoteLiteral(sequence)})`).sequences.names, [sequence]);
    }),
  );
});

test('a name of a catalog is taken apart as it was put together', () => {
  assert.deepEqual(partsOf('public.t1'), { schema: 'public', name: 't1' });
  assert.deepEqual(partsOf('"Of us"."a.""b"""'), { schema: 'Of us', name: 'a."b"' });
  for (const one of [
    { schema: 'S"', name: '.' },
    { schema: 'größe', name: 'x' },
  ])
    assert.deepEqual(partsOf(qualified(one)), one);
  assert.equal(partsOf('t1'), undefined);
  assert.equal(partsOf('"a.b"'), undefined);
});

test('a statement of ours means the same whatever backslashes do', () => {
  assert.equal(withEscapes(String.raw`SELECT 'a\y' -- it's one`), String.raw`SELECT E'a\\y' `);
  assert.equal(
    withEscapes(String.raw`SELECT E'a\'b', 'c''\', "d", 'e'`),
    String.raw`SELECT E'a\'b', E'c''\\', "d", 'e'`,
  );
  const [once] = [withEscapes(String.raw`x ~ '\s--'`)];
  assert.equal(withEscapes(once ?? ''), once);
});
