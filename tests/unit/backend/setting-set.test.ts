import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { NOTHING_SET, type SettingSet, UNCERTAIN } from '../../../src/backend/setting-set.ts';

function setOf(values: Readonly<Record<string, string>>): SettingSet {
  return Object.entries(values).reduce((set, [name, value]) => set.with(name, value), NOTHING_SET);
}

/** What is called in order: `name=value`, or `name` where it is taken back. */
function calls(from: SettingSet, to: SettingSet): readonly string[] {
  const found = from.textTo(to).matchAll(/set_config\(E'([^']*)', (?:NULL|E'([^']*)'), false\)/g);
  return [...found].map(([, name, value]) => (value === undefined ? String(name) : `${name}=${value}`));
}

describe('a server session with some settings', () => {
  test('suits a session with equal ones, whatever the order in which they were made', () => {
    const has = setOf({ work_mem: '1MB', datestyle: 'German' });
    assert.equal(has.fitness(setOf({ datestyle: 'German', work_mem: '1MB' })), 'same');
    assert.equal(has.fitness(setOf({ datestyle: 'German' })), 'movable');
    assert.equal(has.without('work_mem', 'datestyle').fitness(NOTHING_SET), 'same');
  });

  test('is unfit for a session that has not named its custom settings, and when it is uncertain', () => {
    const has = setOf({ 'my.own': 'x' });
    assert.equal(has.fitness(NOTHING_SET), 'unfit');
    assert.equal(has.without('my.own').fitness(NOTHING_SET), 'unfit', 'it exists still');
    assert.equal(has.fitness(NOTHING_SET.naming(['my.own'])), 'movable');
    assert.equal(UNCERTAIN.fitness(NOTHING_SET), 'unfit');
    assert.equal(UNCERTAIN.fitness(has), 'unfit');
  });

  test('gets the difference, and nothing else', () => {
    const has = setOf({ work_mem: '1MB', jit: 'off', datestyle: 'German' });
    const needs = setOf({ work_mem: '2MB', datestyle: 'German', timezone: 'UTC' });
    assert.deepEqual([...calls(has, needs)].sort(), ['jit', 'timezone=UTC', 'work_mem=2MB']);
  });

  test('gives up who it is first and becomes another last, the authorization before the role', () => {
    const one = setOf({ role: 'one', session_authorization: 'two', jit: 'off' });
    const own = setOf({ jit: 'on' });
    assert.deepEqual(calls(one, own), ['session_authorization', 'role', 'jit=on']);
    assert.deepEqual(calls(own, one.with('role', 'one')).slice(-2), ['session_authorization=two', 'role=one']);
    const other = one.with('jit', 'on');
    assert.deepEqual(
      calls(one, other),
      ['session_authorization', 'role', 'jit=on', 'session_authorization=two', 'role=one'],
      'what only the login may set is set by the login',
    );
    assert.deepEqual(calls(setOf({ role: 'one' }), setOf({ role: 'two' })), [
      'session_authorization',
      'role',
      'role=two',
    ]);
  });

  test('gives values in ASCII, whatever they hold', () => {
    const text = NOTHING_SET.textTo(setOf({ search_path: `"ö'\\d", \u{1f600}\n` }));
    assert.equal(
      text,
      `SELECT pg_catalog.set_config(E'search_path', E'"\\u00f6''\\\\d", \\U0001f600\\u000a', false) IS NULL`,
    );
  });

  test('that is not sure of a value gives it to whoever needs it, and takes it back from who does not', () => {
    const has = setOf({ jit: 'off', work_mem: '1MB' }).unsure(['jit']);
    assert.deepEqual(calls(has, setOf({ jit: 'off', work_mem: '1MB' })), ['jit=off']);
    assert.deepEqual(calls(has, setOf({ work_mem: '1MB' })), ['jit']);
  });

  test('elsewhere than on the lead has no settings of the lead’s transactions, and followers have no clocks of the client’s', () => {
    const set = setOf({ default_transaction_read_only: 'off', statement_timeout: '1s', jit: 'off' });
    assert.deepEqual([...set.onReader.values.keys()], ['statement_timeout', 'jit']);
    assert.deepEqual([...set.onFollowers.values.keys()], ['jit']);
    const plain = setOf({ jit: 'off' });
    assert.equal(plain.onFollowers, plain);
    assert.equal(plain.onReader, plain);
  });

  test('shows names and reads constants as others do that have the same of what counts for it', () => {
    assert.equal(setOf({ work_mem: '1MB', 'my.own': 'x' }).view, '');
    assert.equal(setOf({ work_mem: '1MB', 'my.own': 'x' }).reading, '');
    assert.equal(setOf({ role: 'one', jit: 'on' }).view, setOf({ role: 'one' }).view);
    assert.notEqual(setOf({ role: 'one' }).view, setOf({ search_path: 'one' }).view);
    assert.notEqual(setOf({ timezone: 'UTC' }).reading, setOf({ timezone: 'Asia/Tokyo' }).reading);
  });
});
