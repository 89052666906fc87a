import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { statementOf } from './reading.ts';

/** Scope, how and name of what a statement changes, and what it pins. */
const changes: Readonly<Record<string, readonly string[]>> = {
  "SET Search_Path = a, 'b'": ['session set search_path'],
  "SET LOCAL my.Own = 'x'": ['local set my.own'],
  'SET sort_mem = 64': ['session set work_mem'],
  'SET work_mem TO DEFAULT': ['session reset work_mem'],
  'RESET work_mem': ['session reset work_mem'],
  'RESET ALL': ['session reset all'],
  'DISCARD ALL': ['session reset all'],
  'DISCARD TEMP': [],
  "SET TIME ZONE 'UTC'": ['session set timezone'],
  'SET TIME ZONE LOCAL': ['session reset timezone'],
  "SET NAMES 'LATIN1'": ['session set client_encoding'],
  "SET SCHEMA 'a'": ['session set search_path'],
  'SET ROLE NONE': ['session set role'],
  'RESET ROLE': ['session reset role'],
  'SET SESSION AUTHORIZATION a': ['session set session_authorization'],
  'SET SESSION AUTHORIZATION DEFAULT': ['session reset session_authorization'],
  'SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY, ISOLATION LEVEL SERIALIZABLE': [
    'session set default_transaction_read_only',
    'session set default_transaction_isolation',
  ],
  'SET default_transaction_deferrable = on': ['session set default_transaction_deferrable'],
  'SET TRANSACTION READ ONLY': [],
  'SET transaction_isolation = serializable': [],
  "SET TRANSACTION SNAPSHOT 'x'": [],
  'SET seed = 1': ['pins setting'],
  'RESET idle_session_timeout': [],
  "SELECT set_config('My.own', 'x', false), set_config('jit', $1, true)": ['session set my.own', 'local set jit'],
  "INSERT INTO t SELECT set_config('jit', 'on', false)": ['session set jit'],
  "EXPLAIN SELECT set_config('jit', 'on', false)": [],
  "EXPLAIN ANALYZE SELECT set_config('jit', 'on', false)": ['session set jit'],
  'SELECT set_config($1, $2, false)': ['pins setting'],
  "SELECT set_config('jit', 'on', $1)": ['pins setting'],
  "SELECT set_config(is_local => true, setting_name => 'jit', new_value => 'on')": ['pins setting'],
  "SELECT set_config('seed', '1', false)": ['pins setting'],
  "DECLARE c CURSOR FOR SELECT set_config('jit', 'on', false)": ['pins setting'],
};

suite('a statement says which settings it changes', () => {
  for (const [text, expected] of Object.entries(changes)) {
    test(text, () => {
      const { settings, pins } = statementOf(text);
      const found = settings.map(({ scope, how, name }) => `${scope} ${how} ${name}`);
      assert.deepEqual([...found, ...pins.map((pin) => `pins ${pin}`)], expected);
    });
  }
});

const ends: Readonly<Record<string, readonly string[]>> = {
  'SELECT pg_advisory_unlock(1)': ['advisory lock'],
  'SELECT pg_advisory_unlock_all()': ['advisory lock'],
  'SELECT pg_advisory_xact_lock(1)': [],
  'CLOSE c': ['held cursor'],
  'CLOSE ALL': ['held cursor'],
  'DROP TABLE t': ['temporary object'],
  'DISCARD TEMP': ['temporary object'],
  'DISCARD PLANS': [],
};

suite('a statement says which pins it may end', () => {
  for (const [text, expected] of Object.entries(ends)) {
    test(text, () => assert.deepEqual(statementOf(text).unpins, expected));
  }
});
