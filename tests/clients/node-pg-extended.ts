/** node's `pg` with parameters, by a Pool. Returns what it saw, line by line: the same from a server and from a proxy in front of it. */
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import Cursor from 'pg-cursor';
import { cancelRequest } from '../support/frontend-messages.ts';
import { RawClient } from '../support/raw-client.ts';

type Show = (what: string, ...values: readonly unknown[]) => void;
type Rows = Record<string, unknown>;

export async function nodePgExtendedScenario(connectionString: string): Promise<string> {
  const lines: string[] = [];
  const show: Show = (what, ...values) => void lines.push(`${what}: ${JSON.stringify(values)}`);
  const pool = new pg.Pool({ connectionString, application_name: 'scenario', max: 4 });
  try {
    await parameters(pool, show);
    await together(pool, show);
    const client = await pool.connect();
    try {
      await named(client, show);
      await cursors(client, show);
      await transactions(client, show);
      await errors(client, show);
      await notifications(client, show);
    } finally {
      client.release();
    }
    await cancelled(pool, connectionString, show);
  } finally {
    await pool.end();
  }
  return lines.join('\n');
}

async function parameters(pool: pg.Pool, show: Show): Promise<void> {
  const client = await pool.connect();
  await client.query(
    'CREATE TABLE item (id serial PRIMARY KEY, word text UNIQUE, bytes bytea, moment timestamptz, numbers int[], words text[], document jsonb, big int8, flag bool)',
  );
  const rows = [
    [
      "ünïcödé 日本語 😀 'quoted' \\ $1",
      Buffer.from([0, 255, 92, 39]),
      new Date('2024-02-29T12:30:15.123Z'),
      [1, null, -3],
      ['a"b', 'c,d', ''],
      { ä: [1, null] },
      '9223372036854775807',
      true,
    ],
    ['', Buffer.alloc(0), new Date(0), [], [], 'text', '-1', false],
    [null, null, null, null, null, null, null, null],
  ] as const;
  for (const row of rows) {
    const values = row.map((value, index) => (index === 5 && value !== null ? JSON.stringify(value) : value));
    const {
      command,
      rowCount,
      rows: returned,
    } = await client.query<Rows>(
      'INSERT INTO item (word, bytes, moment, numbers, words, document, big, flag) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING id',
      values,
    );
    show('inserted', command, rowCount, returned);
  }
  const found = await client.query<Rows>('SELECT * FROM item WHERE id < $1 ORDER BY id', [100]);
  show(
    'found',
    found.fields.map(({ name, dataTypeID }) => [name, dataTypeID]),
    found.rows,
  );
  const arrays = await client.query({ text: 'SELECT $1::int AS a, $2::text AS a', values: [1, 'x'], rowMode: 'array' });
  show('as arrays', arrays.rows);
  const inBinary = { text: 'SELECT $1::int4 AS n, $2::bool AS b', values: [7, true], binary: true };
  const binary = await client.query<Rows>(inBinary);
  show('binary', binary.rows);
  const updated = await client.query('UPDATE item SET big = big - $1 WHERE big > $2', [1, 0]);
  show('updated', updated.command, updated.rowCount);
  show('none', (await client.query('SELECT 1 WHERE $1', [false])).rowCount, (await client.query('', [])).command);
  client.release();
}

/** Many at once, by several connections: each writes its own rows, and reads them again. */
async function together(pool: pg.Pool, show: Show): Promise<void> {
  await pool.query('CREATE TABLE shared (id int PRIMARY KEY, n int NOT NULL)', []);
  const sums = await Promise.all(
    Array.from({ length: 12 }, async (_, part) => {
      const client = await pool.connect();
      try {
        for (let row = 0; row < 10; row++)
          await client.query('INSERT INTO shared VALUES ($1, $2)', [part * 100 + row, row]);
        await client.query('UPDATE shared SET n = n * $1 WHERE id BETWEEN $2 AND $3', [2, part * 100, part * 100 + 99]);
        const { rows } = await client.query<{ sum: string }>('SELECT sum(n) FROM shared WHERE id BETWEEN $1 AND $2', [
          part * 100,
          part * 100 + 99,
        ]);
        return rows[0]?.sum;
      } finally {
        client.release();
      }
    }),
  );
  show('together', sums);
}

async function named(client: pg.PoolClient, show: Show): Promise<void> {
  const byId = { name: 'by id', text: 'SELECT word, flag FROM item WHERE id = $1' };
  const setFlag = { name: 'set flag', text: 'UPDATE item SET flag = $1 WHERE id = $2 RETURNING flag' };
  for (let round = 0; round < 6; round++) {
    await client.query({ ...setFlag, values: [round % 2 === 0, (round % 3) + 1] });
    show('named', (await client.query<Rows>({ ...byId, values: [(round % 3) + 1] })).rows);
  }
  const queued = await Promise.all([1, 2, 3].map((id) => client.query<Rows>({ ...byId, values: [id] })));
  show(
    'queued',
    queued.map(({ rows }) => rows),
  );
  await client.query('CREATE TABLE changing (id int PRIMARY KEY, word text)');
  await client.query('INSERT INTO changing VALUES ($1, $2)', [1, 'x']);
  const all = { name: 'all', text: 'SELECT * FROM changing WHERE id = $1', values: [1] };
  show('all', (await client.query<Rows>(all)).rows);
  await client.query('ALTER TABLE changing ADD COLUMN more int DEFAULT 5');
  await refused(show, 'changed', client.query(all));
  await client.query('DEALLOCATE all');
}

async function cursors(client: pg.PoolClient, show: Show): Promise<void> {
  await client.query('INSERT INTO shared SELECT n, n FROM generate_series($1::int, $2::int) AS n', [10_000, 10_999]);
  for (const place of ['alone', 'in a block'] as const) {
    if (place === 'in a block') await client.query('BEGIN');
    const cursor = client.query(new Cursor<Rows>('SELECT id FROM shared WHERE id >= $1 ORDER BY id', [10_000]));
    const counts: number[] = [];
    for (let rows = await cursor.read(300); rows.length > 0; rows = await cursor.read(300)) counts.push(rows.length);
    show('cursor', place, counts);
    await cursor.close();
    const early = client.query(new Cursor<Rows>('SELECT id FROM shared WHERE id >= $1 ORDER BY id', [10_000]));
    show('the first', place, await early.read(2));
    await early.close();
    if (place === 'in a block') {
      await client.query('UPDATE shared SET n = n + $1 WHERE id = $2', [1, 10_000]);
      await client.query('COMMIT');
    }
  }
  const wrong = client.query(new Cursor('SELECT 1 / (3 - n) AS q FROM generate_series(1, $1) AS n', [5]));
  show('before the error', await wrong.read(2));
  await refused(show, 'cursor refused', wrong.read(2));
  const returning = client.query(
    new Cursor<Rows>('INSERT INTO changing (id) SELECT * FROM generate_series(100, $1::int) RETURNING id', [104]),
  );
  show('returned', await returning.read(100));
  await returning.close();
  show('after', (await client.query<Rows>('SELECT count(*)::int AS count FROM changing')).rows);
}

async function transactions(client: pg.PoolClient, show: Show): Promise<void> {
  await client.query('BEGIN');
  show('updated', (await client.query('UPDATE item SET word = $1 WHERE id = $2', ['committed', 3])).rowCount);
  await client.query('COMMIT');
  await client.query('BEGIN ISOLATION LEVEL SERIALIZABLE');
  show('deleted', (await client.query('DELETE FROM item WHERE id > $1', [0])).rowCount);
  await client.query('ROLLBACK');
  await client.query('BEGIN');
  await client.query('SAVEPOINT one');
  await refused(show, 'unique', client.query('INSERT INTO item (word) VALUES ($1)', ['committed']));
  await refused(show, 'failed transaction', client.query('SELECT $1::int', [1]));
  await client.query('ROLLBACK TO one');
  await client.query('INSERT INTO item (word) VALUES ($1)', ['behind the savepoint']);
  await client.query('COMMIT');
  show('words', (await client.query<Rows>('SELECT word FROM item WHERE id > $1 ORDER BY id', [0])).rows);
  // Without waiting for one another: pg sends them one by one.
  const [, inserted, , after] = await Promise.all([
    client.query('BEGIN'),
    client.query<Rows>('INSERT INTO item (word) VALUES ($1) RETURNING word', ['queued']),
    client.query('COMMIT'),
    client.query<Rows>('SELECT count(*)::int AS count FROM item WHERE word = $1', ['queued']),
  ]);
  show('queued', inserted.rows, after.rows);
}

async function errors(client: pg.PoolClient, show: Show): Promise<void> {
  await refused(show, 'syntax', client.query("SELECT 'ä', $1 FROM", [1]));
  await refused(show, 'division', client.query('SELECT 1 / $1::int', [0]));
  await refused(show, 'unknown table', client.query('INSERT INTO nothing VALUES ($1)', [1]));
  await refused(show, 'too few', client.query('SELECT $1::int, $2::int', [1]));
  await refused(show, 'no number', client.query('SELECT $1::int', ['x']));
  await refused(show, 'several', client.query('SELECT 1; SELECT $1::int', [1]));
  show('afterwards', (await client.query<Rows>('SELECT $1::text AS answer', ['goes on'])).rows);
}

async function notifications(client: pg.PoolClient, show: Show): Promise<void> {
  const heard: (readonly unknown[])[] = [];
  const both = new Promise<void>((resolve) => {
    client.on('notification', ({ channel, payload }) => {
      if (heard.push([channel, payload]) === 2) resolve();
    });
  });
  await client.query('LISTEN bell');
  await client.query('SELECT pg_notify($1, $2)', ['bell', 'ünï']);
  await client.query('BEGIN');
  await client.query('SELECT pg_notify($1, $2)', ['bell', 'in a block']);
  await client.query('COMMIT');
  await both;
  await client.query('UNLISTEN *');
  client.removeAllListeners('notification');
  show('notifications', heard);
}

/** By a connection of its own, with the key of the one that works: what `pg` itself does to cancel. */
async function cancelled(pool: pg.Pool, connectionString: string, show: Show): Promise<void> {
  const client = await pool.connect();
  const work = refused(show, 'cancelled', client.query('SELECT pg_sleep($1)', [30]));
  let state: 'running' | 'ended' = 'running';
  const ended = work.then(() => {
    state = 'ended';
  });
  const { processID, secretKey } = client as pg.PoolClient & { processID: number; secretKey: number };
  const key = Buffer.alloc(4);
  key.writeInt32BE(secretKey);
  const isEnded = (): boolean => state === 'ended';
  while (!isEnded()) {
    await Promise.race([ended, sleep(200)]);
    if (isEnded()) break;
    const { host, port } = new pg.Client({ connectionString });
    const other = await RawClient.open({ host, port });
    other.send(cancelRequest(processID, key));
    await other.waitClosed();
  }
  await client.query('SELECT 1').catch(() => undefined); // a request that came late may have found it
  client.release();
  show('afterwards', (await pool.query<Rows>('SELECT $1::text AS answer', ['goes on'])).rows);
}

async function refused(show: Show, what: string, work: Promise<unknown>): Promise<void> {
  try {
    await work;
    show(what, 'not refused');
  } catch (error) {
    if (!(error instanceof pg.DatabaseError)) throw error;
    const { severity, code, message, detail, schema, table, constraint, position } = error;
    show(what, severity, code, message, detail, schema, table, constraint, position);
  }
}
