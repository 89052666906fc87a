/** The extended query protocol through the proxy: the same on every writer, whatever a statement's parameters are. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type pg from 'pg';
import { sql } from '../support/cluster.ts';
import {
  bind,
  close,
  describe as describeMessage,
  execute,
  flush,
  frame,
  parse,
  query,
  sync,
} from '../support/frontend-messages.ts';
import { assertWritersEqual, connectRaw, errorIn, refusal, startScene, until } from './scene.ts';

const scene = await startScene({ poolSize: 4, preparedStatements: 5 });
const { cluster, proxy } = scene;
const { w1, w2 } = cluster;

const setup = await proxy.connect();
await setup.query(`CREATE TYPE mood AS ENUM ('sad', 'glad');
  CREATE TABLE item (id serial PRIMARY KEY, word text, at timestamptz DEFAULT now(), feels mood, UNIQUE (word))`);
// On the follower the type has another number.
await sql(w2, "CREATE TYPE in_between AS ENUM ('x')");

async function begunAnew(): Promise<void> {
  await setup.query('TRUNCATE item RESTART IDENTITY');
}

/** Rows as the lead has them, once every writer has the same. */
async function items(columns = 'word'): Promise<readonly unknown[]> {
  await assertWritersEqual(cluster);
  return sql(w1, `SELECT ${columns} FROM item ORDER BY id`);
}

/** `query` with parameters that the server binds. */
const bound = (client: pg.Client, text: string, ...values: unknown[]): Promise<pg.QueryResult> =>
  client.query(text, values);

/** Execute of the unnamed portal, for at most `limit` rows. */
const some = (limit: number): Buffer => {
  const body = Buffer.alloc(5);
  body.writeInt32BE(limit, 1);
  return frame('E', body);
};

describe('values that each server would make for itself are the same on every writer', () => {
  test('serial numbers and the time of a default, with parameters beside them', async () => {
    await begunAnew();
    const client = await proxy.connect();
    const { rows } = await bound(client, 'INSERT INTO item (word) VALUES ($1), ($2) RETURNING id, at', 'a', 'b');
    assert.deepEqual(
      rows.map(({ id }) => id),
      [1, 2],
    );
    assert.deepEqual(await items(), [{ word: 'a' }, { word: 'b' }]);
  });

  test('now() in a text with parameters', async () => {
    await begunAnew();
    const client = await proxy.connect();
    await bound(client, 'INSERT INTO item (word) VALUES ($1)', 'timed');
    await bound(client, 'UPDATE item SET at = now() - $2::interval WHERE word = $1', 'timed', '1 hour');
    assert.equal((await items()).length, 1);
  });

  test('a parameter that means the present is stored as the lead stores it', async () => {
    await begunAnew();
    const client = await proxy.connect();
    await bound(client, 'INSERT INTO item (word, at) VALUES ($1, $2)', 'now', 'now');
    assert.equal((await items()).length, 1);
    await bound(client, 'UPDATE item SET at = $1 WHERE word = $2', 'now', 'now');
    assert.equal((await items()).length, 1);
  });

  test('a parameter that names an object names it on each', async () => {
    const client = await proxy.connect();
    await client.query('CREATE TABLE named (kind regclass); CREATE VIEW kinds AS SELECT * FROM named');
    await bound(client, 'INSERT INTO named VALUES ($1)', 'item');
    await bound(client, 'INSERT INTO kinds VALUES ($1)', 'item');
    for (const writer of cluster.writers)
      assert.deepEqual(await sql(writer, 'SELECT kind::text FROM named'), [{ kind: 'item' }, { kind: 'item' }]);
    await client.query('DROP TABLE named CASCADE');
  });
});

test('a type of the user has its own number on each server, and a parameter of it still arrives', async () => {
  await begunAnew();
  const client = await proxy.connect();
  await client.query("DROP TYPE IF EXISTS shifted; CREATE TYPE shifted AS ENUM ('left', 'right')");
  await client.query('CREATE TABLE shift (id int PRIMARY KEY, to_ shifted)');
  const numbers = await Promise.all([w1, w2].map((writer) => sql(writer, "SELECT 'shifted'::regtype::oid::int AS n")));
  assert.notDeepEqual(numbers[0], numbers[1]);
  await bound(client, 'INSERT INTO shift VALUES ($1, $2)', 1, 'left');
  const raw = await connectRaw(scene);
  const number = Number(numbers[0]?.[0]?.['n']);
  const types = Buffer.alloc(6);
  types.writeInt16BE(1, 0);
  types.writeInt32BE(number, 2);
  const text = 'INSERT INTO shift VALUES (2, $1)';
  raw.send(
    frame('P', Buffer.concat([Buffer.from(`\0${text}\0`), types])),
    frame('B', Buffer.from('\0\0\0\0\0\x01\0\0\0\x05right\0\0', 'latin1')),
    execute(''),
    sync(),
  );
  await raw.waitReady(2);
  assert.deepEqual(await sql(w2, 'SELECT to_::text AS t FROM shift ORDER BY id'), [{ t: 'left' }, { t: 'right' }]);
  await client.query('DROP TABLE shift; DROP TYPE shifted');
});

describe('statements between two Syncs are one transaction', () => {
  const insert = (word: string): Buffer[] => [
    parse('', `INSERT INTO item (word) VALUES ('${word}')`),
    bind('', ''),
    execute(''),
  ];

  test('which an error rolls back everywhere', async () => {
    await begunAnew();
    const client = await connectRaw(scene);
    client.send(...insert('a'), sync(), ...insert('b'), ...insert('b'), ...insert('c'), sync(), ...insert('d'), sync());
    await client.waitReady(4);
    assert.equal(errorIn(client.messages)['C'], '23505');
    assert.deepEqual(await items(), [{ word: 'a' }, { word: 'd' }]);
  });

  test('which a follower can refuse', async () => {
    await begunAnew();
    await sql(w2, "INSERT INTO item (id, word) VALUES (900, 'only here')");
    const client = await connectRaw(scene);
    client.send(...insert('a'), ...insert('only here'), sync());
    await client.waitReady(2);
    assert.equal(errorIn(client.messages)['C'], '23505');
    await sql(w2, 'DELETE FROM item');
    assert.deepEqual(await items(), []);
  });

  test('in which a read sees the writes before it', async () => {
    await begunAnew();
    const client = await connectRaw(scene);
    client.send(...insert('a'), parse('', 'SELECT word FROM item'), bind('', ''), execute(''), sync());
    await client.waitReady(2);
    assert.equal(client.messages.filter(({ type }) => type === 'DataRow').length, 1);
  });

  test('which a client that leaves without Sync does not commit', async () => {
    await begunAnew();
    const client = await connectRaw(scene);
    client.send(...insert('a'), flush());
    await client.waitFor(['CommandComplete'], 0);
    client.destroy();
    await setup.query('BEGIN; LOCK TABLE item; COMMIT');
    assert.deepEqual(await items(), []);
  });
});

test('a row limit shows the rows of a write bit by bit, and changes nothing of what it does', async () => {
  await begunAnew();
  const client = await connectRaw(scene);
  client.send(query('BEGIN'));
  await client.waitReady(2);
  const from = client.messages.length;
  client.send(
    parse('', "INSERT INTO item (word) SELECT 'w' || n FROM generate_series(1, 5) n RETURNING id"),
    bind('', ''),
    some(2),
    some(2),
    some(2),
    sync(),
    query('COMMIT'),
  );
  await client.waitReady(4);
  const types = client.messages.slice(from).map(({ type }) => type);
  assert.deepEqual(types, [
    'ParseComplete',
    'BindComplete',
    'DataRow',
    'DataRow',
    'PortalSuspended',
    'DataRow',
    'DataRow',
    'PortalSuspended',
    'DataRow',
    'CommandComplete',
    'ReadyForQuery',
    'CommandComplete',
    'ReadyForQuery',
  ]);
  assert.equal((await items()).length, 5);
});

test('the unnamed portal is the client’s, and none of pprox', async () => {
  const client = await connectRaw(scene);
  for (const begin of ['SELECT 1', 'BEGIN; SAVEPOINT s']) {
    // What is known of the catalog is asked for in front of the group.
    await setup.query(
      'CREATE TABLE IF NOT EXISTS unasked (id serial, n int); ALTER TABLE unasked ALTER n SET DEFAULT 1',
    );
    await client.query(begin);
    const from = client.messages.length;
    const insert = [parse('', 'INSERT INTO unasked (n) VALUES (2) RETURNING id'), bind('', ''), execute('')];
    client.send(describeMessage('P', ''), ...insert, sync());
    await client.waitReady(client.readies + 1);
    assert.equal(errorIn(client.messages.slice(from))['C'], '34000', begin);
  }
  client.destroy();
});

describe('a prepared statement', () => {
  const named = (name: string, text: string, ...values: unknown[]) => ({ name, text, values });

  test('is there whatever server connection its session is given', async () => {
    await begunAnew();
    const clients = await Promise.all([1, 2, 3, 4, 5, 6].map(() => proxy.connect()));
    for (let round = 0; round < 4; round++) {
      await Promise.all(
        clients.map(async (client, index) => {
          await client.query(named('put', 'INSERT INTO item (word) VALUES ($1)', `${index}.${round}`));
          const { rows } = await client.query(
            named('get', 'SELECT word FROM item WHERE word = $1', `${index}.${round}`),
          );
          assert.deepEqual(rows, [{ word: `${index}.${round}` }]);
        }),
      );
    }
    assert.equal((await items()).length, 24);
  });

  test('is kept on so many as are allowed, and comes back', async () => {
    const client = await proxy.connect();
    for (let round = 0; round < 2; round++) {
      for (let count = 0; count < 12; count++) {
        const { rows } = await client.query(named(`s${count}`, `SELECT $1::int + ${count} AS n`, 1));
        assert.deepEqual(rows, [{ n: count + 1 }]);
        await client.query('SELECT 1');
      }
    }
  });

  test('whose result has changed is refused as PostgreSQL refuses it, on every server connection', async () => {
    const other = await proxy.connect();
    const client = await proxy.connect();
    await client.query('CREATE TABLE changing (a int)');
    await client.query(named('all', 'SELECT * FROM changing'));
    await other.query('ALTER TABLE changing ALTER a TYPE text');
    await until('the replica knows of it', async () => {
      const [column] = await sql(
        cluster.replica,
        "SELECT atttypid::regtype::text AS t FROM pg_attribute WHERE attrelid = 'changing'::regclass AND attname = 'a'",
      );
      return column?.['t'] === 'text';
    });
    const refused = await refusal(client.query(named('all', 'SELECT * FROM changing')));
    assert.deepEqual([refused.code, refused.message], ['0A000', 'cached plan must not change result type']);
    assert.deepEqual((await other.query(named('all', 'SELECT * FROM changing'))).rows, []);
    await client.query('DROP TABLE changing');
  });

  test('whose result has changed has its parameters described first, also where the server session never had it', async () => {
    const client = await connectRaw(scene);
    await client.query('CREATE TABLE turning (a int)');
    client.send(parse('all', 'SELECT * FROM turning WHERE a = $1'), describeMessage('S', 'all'), sync());
    await client.waitReady(client.readies + 1);
    await client.query('ALTER TABLE turning ADD b text');
    const from = client.messages.length;
    client.send(describeMessage('S', 'all'), sync());
    await client.waitReady(client.readies + 1);
    const types = client.messages.slice(from).map(({ type }) => type);
    assert.deepEqual(types, ['ParameterDescription', 'ErrorResponse', 'ReadyForQuery']);
    assert.equal(errorIn(client.messages.slice(from))['C'], '0A000');
    await client.query('DROP TABLE turning');
  });

  for (const where of ['outside a block', 'in a block'] as const) {
    test(`whose result has changed is refused behind the answers to what stands in front, ${where}`, async () => {
      const client = await connectRaw(scene);
      await client.query('CREATE TABLE turned (a int)');
      client.send(parse('all', 'SELECT * FROM turned'), describeMessage('S', 'all'), sync());
      await client.waitReady(client.readies + 1);
      await client.query('ALTER TABLE turned ADD b text');
      if (where === 'in a block') await client.query('BEGIN');
      const from = client.messages.length;
      client.send(parse('', 'SELECT 7'), describeMessage('S', ''), bind('', 'all'), execute(''), sync());
      await client.waitReady(client.readies + 1);
      const types = client.messages.slice(from).map(({ type }) => type);
      const front = ['ParseComplete', 'ParameterDescription', 'RowDescription'];
      assert.deepEqual(types, [...front, 'ErrorResponse', 'ReadyForQuery']);
      assert.equal(errorIn(client.messages.slice(from))['C'], '0A000');
      await client.query('ROLLBACK');
      await client.query('DROP TABLE turned');
    });
  }

  test('is read on the lead while the reader does not know its table as the lead does', async () => {
    await setup.query('CREATE TABLE known (a int); INSERT INTO known VALUES (1)');
    await until('the replica has it', async () => {
      const [found] = await sql(cluster.replica, "SELECT to_regclass('known') IS NOT NULL AS there");
      return found?.['there'] === true;
    });
    await sql(cluster.replica, 'SELECT pg_wal_replay_pause()');
    try {
      for (const writer of [w1, w2]) {
        await sql(writer, "ALTER TABLE known ALTER a TYPE text; CREATE TABLE fresh AS SELECT 'here' AS b");
      }
      for (const table of ['known', 'fresh']) {
        const client = await connectRaw(scene);
        client.send(parse('all', `SELECT * FROM ${table}`), sync());
        await client.waitReady(2);
        client.send(bind('', 'all'), execute(''), sync());
        await client.waitReady(3);
        assert.ok(
          client.messages.every(({ type }) => type !== 'ErrorResponse'),
          table,
        );
        assert.equal(client.messages.filter(({ type }) => type === 'DataRow').length, 1);
      }
    } finally {
      await sql(cluster.replica, 'SELECT pg_wal_replay_resume()');
    }
  });

  test('is gone after DEALLOCATE and DISCARD ALL, for its own session alone', async () => {
    const [one, two] = [await connectRaw(scene), await connectRaw(scene)];
    for (const client of [one, two]) {
      client.send(parse('mine', 'SELECT 1'), sync());
      await client.waitReady(2);
    }
    for (const end of ['DEALLOCATE mine', 'DEALLOCATE ALL', 'DISCARD ALL']) {
      await one.query(end);
      const from = one.messages.length;
      const readies = one.readies;
      one.send(bind('', 'mine'), execute(''), sync(), parse('mine', 'SELECT 1'), sync());
      await one.waitReady(readies + 2);
      assert.equal(errorIn(one.messages.slice(from))['C'], '26000', end);
      const others = two.readies;
      two.send(bind('', 'mine'), describeMessage('P', ''), execute(''), sync());
      await two.waitReady(others + 1);
      assert.ok(
        two.messages.every(({ type }) => type !== 'ErrorResponse'),
        end,
      );
    }
    one.send(close('S', 'mine'), sync());
  });
});

test('what a failed Query leaves as the unnamed portal is refused without its lead, which might crash of it', async () => {
  const client = await connectRaw(scene);
  client.send(query('BEGIN; DEALLOCATE nothing_of_that_name'));
  await client.waitReady(2);
  for (const ready of [3, 5, 7, 9]) {
    // What PostgreSQL would look at to refuse it is overwritten by this.
    client.send(parse('', `SELECT ${'1 + '.repeat(500)} 1`), sync());
    await client.waitReady(ready);
    const from = client.messages.length;
    client.send(execute(''), sync());
    await client.waitReady(ready + 1);
    assert.equal(errorIn(client.messages.slice(from))['C'], '25P02');
  }
  client.destroy();
});
