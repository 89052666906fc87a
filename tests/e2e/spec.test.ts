/** The five things that the proxy is for, on real servers. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sql } from '../support/cluster.ts';
import { assertWritersEqual, loggedTimes, refusal, replayed, startScene, until, value } from './scene.ts';

const { cluster, proxy } = await startScene({}, { settings: { log_statement: 'all' } });
const { w1, w2, replica } = cluster;

test('a SELECT reaches the reader and no writer', async () => {
  const client = await proxy.connect();
  assert.equal(await value(client, 'SELECT 1 AS only_on_the_reader'), 1);
  assert.equal(loggedTimes(replica, 'SELECT 1 AS only_on_the_reader'), 1);
  assert.equal(loggedTimes(w1, 'only_on_the_reader'), 0);
  assert.equal(loggedTimes(w2, 'only_on_the_reader'), 0);
});

test('an INSERT is on both writers, and its session reads it back', async () => {
  const client = await proxy.connect();
  await client.query('CREATE TABLE item (id int PRIMARY KEY, name text)');
  const { rowCount, command } = await client.query("INSERT INTO item VALUES (1, 'Ä''\\ x'), (2, NULL)");
  assert.deepEqual([command, rowCount], ['INSERT', 2]);
  const expected = [
    { id: 1, name: "Ä'\\ x" },
    { id: 2, name: null },
  ];
  assert.deepEqual((await client.query('SELECT * FROM item ORDER BY id')).rows, expected);
  for (const writer of [w1, w2]) assert.deepEqual(await sql(writer, 'SELECT * FROM item ORDER BY id'), expected);
});

test('an error that only the follower gives is told in full, and leaves both writers unchanged', async () => {
  const client = await proxy.connect();
  await client.query('CREATE TABLE stock (id int PRIMARY KEY, pieces int); INSERT INTO stock VALUES (1, 5)');
  await sql(w2, 'ALTER TABLE stock ADD CONSTRAINT only_here CHECK (pieces >= 0)');
  const error = await refusal(client.query('UPDATE stock SET pieces = -1 WHERE id = 1'));
  assert.equal(error.severity, 'ERROR');
  assert.equal(error.code, '23514');
  assert.equal(error.message, 'new row for relation "stock" violates check constraint "only_here"');
  const [follower, lead, ...more] = (error.detail ?? '').split('\n');
  assert.match(follower ?? '', new RegExp(`^follower 127\\.0\\.0\\.1:${w2.port}.*: ERROR 23514: new row for relation`));
  assert.match(lead ?? '', new RegExp(`^lead 127\\.0\\.0\\.1:${w1.port}.*: rolled back$`));
  assert.deepEqual(more, []);
  assert.equal(error.hint, 'Nothing of this was applied on any writer.');
  for (const writer of [w1, w2]) assert.deepEqual(await sql(writer, 'SELECT pieces FROM stock'), [{ pieces: 5 }]);
  assert.equal(await value(client, 'SELECT pieces FROM stock'), 5, 'the session goes on');
  await sql(w2, 'ALTER TABLE stock DROP CONSTRAINT only_here');
});

test('an error of the lead comes as the lead said it, and no follower has seen the statement', async () => {
  const client = await proxy.connect();
  await client.query('CREATE TABLE unit (id int CONSTRAINT positive CHECK (id > 0))');
  const error = await refusal(client.query('INSERT INTO unit VALUES (-77177)'));
  assert.deepEqual([error.code, error.constraint, error.table], ['23514', 'positive', 'unit']);
  assert.equal(error.detail, 'Failing row contains (-77177).');
  assert.equal(loggedTimes(w2, '-77177'), 0);
});

const ACCOUNTS = 20;
const BALANCE = 1000;
const CLIENTS = 50;
const TRANSFERS = 6;

test('fifty clients in mixed transactions stay isolated, and both writers are equal afterwards', async () => {
  const setup = await proxy.connect();
  await setup.query('CREATE TABLE account (id int PRIMARY KEY, balance int NOT NULL)');
  await setup.query('CREATE TABLE movement (client int, nr int, amount int, PRIMARY KEY (client, nr))');
  const rows = Array.from({ length: ACCOUNTS }, (_, id) => `(${id}, ${BALANCE})`);
  await setup.query(`INSERT INTO account VALUES ${rows.join(', ')}`);
  await replayed(cluster);
  const outcomes = { committed: 0, rolledBack: 0, refused: 0 };
  await Promise.all(Array.from({ length: CLIENTS }, (_, index) => work(index, outcomes)));
  assert.equal(outcomes.committed + outcomes.rolledBack + outcomes.refused, CLIENTS * TRANSFERS);
  assert.equal(outcomes.refused, CLIENTS, 'each client breaks a rule once');
  assert.equal(outcomes.rolledBack, CLIENTS, 'each client changes its mind once');
  const [movements] = await sql(w1, 'SELECT count(*)::int AS n FROM movement');
  assert.equal(movements?.['n'], outcomes.committed);
  const [total] = await sql(w2, 'SELECT sum(balance)::int AS sum FROM account');
  assert.equal(total?.['sum'], ACCOUNTS * BALANCE);
  await assertWritersEqual(cluster);
});

async function work(
  index: number,
  outcomes: { committed: number; rolledBack: number; refused: number },
): Promise<void> {
  const client = await proxy.connect();
  const sum = 'SELECT sum(balance)::int FROM account';
  for (let nr = 0; nr < TRANSFERS; nr++) {
    // The smaller number first: no two transfers wait for each other.
    const [from, to] = [(index * 7 + nr) % ACCOUNTS, (index * 3 + nr * 5 + 1) % ACCOUNTS].sort((a, b) => a - b);
    const amount = 1 + ((index + nr) % 9);
    const move = (id: number | undefined, by: number): Promise<unknown> =>
      client.query(`UPDATE account SET balance = balance + ${by} WHERE id = ${id}`);
    await client.query('BEGIN');
    await move(from, -amount);
    if (nr === 1) {
      // A failure behind a savepoint undoes nothing but itself.
      await client.query('SAVEPOINT s');
      await refusal(client.query(`INSERT INTO movement VALUES (${index}, 0, 0)`));
      await client.query('ROLLBACK TO s');
    }
    await move(to, amount);
    await client.query(`INSERT INTO movement VALUES (${index}, ${nr}, ${amount})`);
    assert.equal(await value(client, sum), ACCOUNTS * BALANCE, 'in its own transaction');
    if (nr === 2) {
      await client.query('ROLLBACK');
      outcomes.rolledBack++;
    } else if (nr === 3) {
      assert.equal((await refusal(client.query(`UPDATE account SET balance = NULL WHERE id = ${from}`))).code, '23502');
      assert.equal((await client.query('COMMIT')).command, 'ROLLBACK');
      outcomes.refused++;
    } else {
      await client.query('COMMIT');
      outcomes.committed++;
    }
    assert.equal(await value(client, sum), ACCOUNTS * BALANCE, 'after its transaction');
    const own = await value(client, `SELECT count(*)::int FROM movement WHERE client = ${index} AND nr = ${nr}`);
    assert.equal(own, nr === 2 || nr === 3 ? 0 : 1, 'it reads its own transactions');
  }
}

for (const name of ['w2', 'w1'] as const) {
  test(`with ${name} stopped a write is refused and leaves nothing, and works again once it has started`, async () => {
    const stopped = cluster[name];
    const other = name === 'w1' ? w2 : w1;
    const client = await proxy.connect();
    await client.query(`CREATE TABLE outage_${name} (id int PRIMARY KEY)`);
    await client.query(`INSERT INTO outage_${name} VALUES (1)`);
    await client.query('BEGIN');
    await client.query(`INSERT INTO outage_${name} VALUES (2)`);
    await stopped.stop('fast');
    const inBlock = await refusal(client.query(`INSERT INTO outage_${name} VALUES (3)`));
    assert.equal(inBlock.code?.slice(0, 2), '08', inBlock.message);
    assert.equal((await client.query('COMMIT')).command, 'ROLLBACK');
    const outside = await refusal(client.query(`INSERT INTO outage_${name} VALUES (4)`));
    // The server's own word, where pprox had asked it on its way down.
    assert.match(outside.code ?? '', /^08|^57P03$/, outside.message);
    assert.match(outside.message, new RegExp(`127\\.0\\.0\\.1:${stopped.port}`), 'the message names the server');
    assert.deepEqual(await sql(other, `SELECT id FROM outage_${name}`), [{ id: 1 }]);
    await stopped.start();
    await until('writes work again', () =>
      client.query(`INSERT INTO outage_${name} VALUES (5)`).then(
        () => true,
        () => false,
      ),
    );
    for (const writer of [w1, w2]) {
      assert.deepEqual(await sql(writer, `SELECT id FROM outage_${name} ORDER BY id`), [{ id: 1 }, { id: 5 }]);
    }
  });
}
