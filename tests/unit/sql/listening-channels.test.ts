import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { asksForChannels, withChannels } from '../../../src/sql/listening-channels.ts';
import { statementOf } from './reading.ts';

const SHOWN = "pg_catalog.unnest(ARRAY['a']::pg_catalog.text[])";
const NAMED = `${SHOWN} AS pg_listening_channels`;

function told(text: string, channels = ['a'], own: 'nothing' | 'perhaps something' = 'nothing'): string | undefined {
  return withChannels(Buffer.from(text), statementOf(text), channels, own)?.text.toString();
}

suite('calls of pg_listening_channels() are replaced by the channels', () => {
  const cases: readonly (readonly [string, string])[] = [
    ["SELECT 'é', pg_catalog . pg_listening_channels ( ) FROM t", `SELECT 'é', ${NAMED} FROM t`],
    ['SELECT pg_listening_channels() AS c', `SELECT ${SHOWN} AS c`],
    ['SELECT upper(pg_listening_channels())', `SELECT upper(${SHOWN})`],
    ['SELECT (SELECT pg_listening_channels())', `SELECT (SELECT ${NAMED})`],
    ['SELECT * FROM pg_listening_channels()', `SELECT * FROM ${NAMED}`],
    ['SELECT * FROM pg_listening_channels() x', `SELECT * FROM ${SHOWN} x`],
    ['SELECT * FROM pg_listening_channels() WITH ORDINALITY x', `SELECT * FROM ${SHOWN} WITH ORDINALITY x`],
    ['INSERT INTO t SELECT pg_listening_channels() UNION SELECT 1', `INSERT INTO t SELECT ${NAMED} UNION SELECT 1`],
    ['SELECT pg_listening_channels() ORDER BY pg_listening_channels()', `SELECT ${NAMED} ORDER BY ${SHOWN}`],
  ];
  for (const [text, expected] of cases) test(text, () => assert.equal(told(text), expected));

  test('whatever they are called', () => {
    const channels = ["it's", 'back\\slash', 'é'];
    assert.equal(
      told('SELECT pg_listening_channels()', channels),
      `SELECT pg_catalog.unnest(ARRAY['it''s', E'back\\\\slash', E'\\u00e9']::pg_catalog.text[]) AS pg_listening_channels`,
    );
  });

  test('behind those that the server session may listen to by itself', () => {
    assert.match(
      told('SELECT pg_listening_channels()', ['a'], 'perhaps something') ?? '',
      /SELECT c FROM pg_catalog\.pg_listening/,
    );
  });
});

suite('calls that give their name to something around them are not', () => {
  for (const text of [
    'SELECT pg_listening_channels()::varchar',
    'SELECT CASE WHEN a THEN 1 ELSE pg_listening_channels() END FROM t',
    'SELECT * FROM pg_listening_channels() WITH ORDINALITY',
    'SELECT * FROM ROWS FROM (pg_listening_channels()) AS x',
    'CREATE MATERIALIZED VIEW v AS SELECT pg_listening_channels() AS c',
  ]) {
    test(text, () => {
      assert.ok(asksForChannels(statementOf(text)));
      assert.equal(told(text), undefined);
    });
  }

  test('and where nothing is called there is nothing to replace', () => {
    assert.ok(!asksForChannels(statementOf('CREATE VIEW v AS SELECT pg_listening_channels() AS c')));
    assert.ok(!asksForChannels(statementOf("SELECT 'pg_listening_channels()'")));
  });
});
