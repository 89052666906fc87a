/** Drivers of several languages: a scenario prints what it sees, and sees the same through the proxy as on the lead. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { clientTest } from '../support/client-programs.ts';
import { root } from '../support/repository.ts';
import { compareSeen, dsnOf, type Scenario } from './comparison.ts';
import { nodePgScenario } from './node-pg.ts';
import { succeed } from './program.ts';
import { assertWritersEqual, openStage } from './stage.ts';

const stage = await openStage({ major: 18 });
const scenarios = join(root, 'tests', 'clients');

const compare = (name: string, scenario: Scenario): Promise<string> => compareSeen(stage, name, scenario);

clientTest('psycopg2 sees through the proxy what it sees on the lead', 'psycopg2', async (python) => {
  const script = join(scenarios, 'psycopg2', 'scenario.py');
  const seen = await compare('psycopg2', (target, database) => succeed(python, [script, dsnOf(target, database)]));
  assert.match(seen, /^unique: \('UniqueViolation', '23505', 'ERROR', .*'item', None, 'item_word_once', None\)$/m);
  assert.match(seen, /^copied out: \(20000, True\)$/m);
  assert.match(seen, /^asynchronously: \(256,\)$/m);
});

clientTest('DBD::Pg sees through the proxy what it sees on the lead', 'DBD::Pg', async (perl) => {
  const script = join(scenarios, 'dbd-pg', 'scenario.pl');
  const seen = await compare('dbd_pg', (target, database) =>
    succeed(perl, [script, target.host, String(target.port), database]),
  );
  assert.match(seen, /^unique: 23505 \| ERROR \| .* \| item_word_key \| \(null\)$/m);
  assert.match(seen, /^left: 500 \| ä99$/m);
  assert.match(seen, /^notification: bell \| payload$/m);
});

test('pg sees through the proxy what it sees on the lead', async () => {
  const seen = await compare('node_pg', (target, database) => nodePgScenario(dsnOf(target, database)));
  assert.match(seen, /^unique: \["ERROR","23505",.*"item","item_word_key",null\]$/m);
  assert.match(seen, /^notification: \["bell","ünï"\]$/m);
});

test('pg binds parameters, on the reader and on every writer', async () => {
  const client = await stage.proxy.connect();
  assert.deepEqual((await client.query('SELECT $1::int AS n', [1])).rows, [{ n: 1 }]);
  await client.query('CREATE TABLE bound (id serial PRIMARY KEY, word text)', []);
  const inserted = await client.query('INSERT INTO bound (word) VALUES ($1) RETURNING id', ['one']);
  assert.deepEqual(inserted.rows, [{ id: 1 }]);
  const named = { name: 'by id', text: 'SELECT word FROM bound WHERE id = $1' };
  for (const id of [1, 2, 1]) {
    const { rows } = await client.query({ ...named, values: [id] });
    assert.deepEqual(rows, id === 1 ? [{ word: 'one' }] : []);
  }
  await assert.rejects(client.query('SELECT 1 / $1::int', [0]), { code: '22012' });
  await assertWritersEqual(stage, 'postgres');
});

clientTest('pgx in simple protocol mode sees through the proxy what it sees on the lead', 'go', async (go) => {
  const folder = mkdtempSync(join(tmpdir(), 'pprox-pgx-'));
  after(() => rmSync(folder, { recursive: true }));
  const program = join(folder, 'scenario');
  // Go fetches the modules that go.sum names; both caches are the user's own.
  await succeed(go, ['build', '-mod=readonly', '-o', program, '.'], {
    cwd: join(scenarios, 'pgx'),
    env: { GOTOOLCHAIN: 'local' },
    patienceMs: 280_000,
  });
  const mode = '?default_query_exec_mode=simple_protocol&application_name=scenario';
  const seen = await compare('pgx', (target, database) => succeed(program, [dsnOf(target, database) + mode]));
  assert.match(seen, /^constraint: \[ERROR 23505 .* item_word_once 0 73\]$/m);
  assert.match(seen, /^copied out: \[COPY 5000 true\]$/m);
});
