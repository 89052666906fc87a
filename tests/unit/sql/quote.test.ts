import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { qualified, quoteIdentifier, quoteLiteral } from '../../../src/sql/quote.ts';
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
