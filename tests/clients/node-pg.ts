/** A day in the life of node's `pg`. Returns what it saw, line by line: the same from a server and from a proxy in front of it. */
import pg from 'pg';

export async function nodePgScenario(connectionString: string): Promise<string> {
  const client = new pg.Client({ connectionString, application_name: 'scenario' });
  const lines: string[] = [];
  const show = (what: string, ...values: readonly unknown[]): void => {
    lines.push(`${what}: ${JSON.stringify(values)}`);
  };
  const quote = (value: string | null): string => (value === null ? 'NULL' : client.escapeLiteral(value));
  await client.connect();
  client.on('notice', (notice) => show('notice', notice.severity, notice.message, notice.hint));
  try {
    await values(client, show, quote);
    await transactions(client, show);
    await errors(client, show);
    await notifications(client, show);
  } finally {
    await client.end();
  }
  return lines.join('\n');
}

type Show = (what: string, ...values: readonly unknown[]) => void;

async function values(client: pg.Client, show: Show, quote: (value: string | null) => string): Promise<void> {
  await client.query(
    `CREATE TABLE item (id serial PRIMARY KEY, word text UNIQUE, bytes bytea, moment timestamptz, numbers int[], document jsonb)`,
  );
  const rows = [
    [
      "ünïcödé 日本語 😀 'quoted' \\ back",
      '\\x00ff5c27',
      '2024-02-29T12:30:15.123Z',
      '{1,NULL,-3}',
      '{"ä": [1, null]}',
    ],
    ['', '\\x', 'infinity', '{}', 'null'],
    [null, null, null, null, null],
  ] as const;
  for (const row of rows) {
    const {
      command,
      rowCount,
      rows: returned,
    } = await client.query(
      `INSERT INTO item (word, bytes, moment, numbers, document) VALUES (${row.map(quote).join(', ')}) RETURNING id`,
    );
    show('inserted', command, rowCount, returned);
  }
  const found = await client.query<Record<string, unknown>>('SELECT * FROM item ORDER BY id');
  const oids = found.fields.map(({ name, dataTypeID }) => [name, dataTypeID]);
  show('found', oids, found.rows);
  const arrays = await client.query({ text: 'SELECT 1 AS a, 2 AS a, $$x$$::text', rowMode: 'array' });
  show('as arrays', arrays.rows);
  const several: unknown = await client.query(
    "SELECT 1 AS one; INSERT INTO item (word) VALUES ('of several'); SELECT 2 AS two",
  );
  show(
    'several',
    Array.isArray(several)
      ? several.map((one: pg.QueryResult<Record<string, unknown>>) => [one.command, one.rows])
      : several,
  );
  const queued = await Promise.all([1, 2, 3].map((n) => client.query<{ n: number }>(`SELECT ${n} AS n`)));
  show(
    'queued',
    queued.map(({ rows: [row] }) => row),
  );
  const empty = await client.query('');
  show('empty', empty.rows);
}

async function transactions(client: pg.Client, show: Show): Promise<void> {
  await client.query('BEGIN');
  show('updated', (await client.query("UPDATE item SET word = 'committed' WHERE id = 3")).rowCount);
  await client.query('COMMIT');
  await client.query('BEGIN ISOLATION LEVEL SERIALIZABLE');
  show('deleted', (await client.query('DELETE FROM item')).rowCount);
  await client.query('ROLLBACK');
  await client.query('BEGIN; SAVEPOINT one');
  await refused(client, show, 'unique', "INSERT INTO item (word) VALUES ('committed')");
  await refused(client, show, 'failed transaction', 'SELECT 1');
  await client.query("ROLLBACK TO one; INSERT INTO item (word) VALUES ('behind the savepoint'); COMMIT");
  show('words', (await client.query<Record<string, unknown>>('SELECT word FROM item ORDER BY id')).rows);
}

async function errors(client: pg.Client, show: Show): Promise<void> {
  await refused(client, show, 'syntax', "SELECT 'ä', FROM item");
  await refused(client, show, 'division', 'SELECT 1 / 0');
  await refused(client, show, 'unknown table', 'TABLE nothing');
  await client.query("DO $$ BEGIN RAISE WARNING 'ä' USING HINT = 'hint'; END $$");
  show('afterwards', (await client.query<Record<string, unknown>>("SELECT 'goes on' AS answer")).rows);
}

async function notifications(client: pg.Client, show: Show): Promise<void> {
  const heard = new Promise<pg.Notification>((resolve) => client.once('notification', resolve));
  await client.query('LISTEN bell');
  await client.query("NOTIFY bell, 'ünï'");
  const { channel, payload } = await heard;
  show('notification', channel, payload);
}

async function refused(client: pg.Client, show: Show, what: string, text: string): Promise<void> {
  try {
    await client.query(text);
    show(what, 'not refused');
  } catch (error) {
    if (!(error instanceof pg.DatabaseError)) throw error;
    const { severity, code, message, detail, schema, table, constraint, position } = error;
    show(what, severity, code, message, detail, schema, table, constraint, position);
  }
}
