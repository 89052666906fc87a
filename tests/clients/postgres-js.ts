/** A day in the life of postgres.js. Returns what it saw, line by line: the same from a server and from a proxy in front of it. */
import postgres from 'postgres';

type Show = (what: string, ...values: readonly unknown[]) => void;

export async function postgresJsScenario(connectionString: string): Promise<string> {
  const lines: string[] = [];
  const show: Show = (what, ...values) => void lines.push(`${what}: ${JSON.stringify(values)}`);
  const sql = postgres(connectionString, {
    max: 3,
    connection: { application_name: 'scenario' },
    onnotice: (notice) => show('notice', notice['severity'], notice['message']),
  });
  try {
    await sql`CREATE TABLE item (id serial PRIMARY KEY, word text UNIQUE, bytes bytea, moment timestamptz, numbers int[], document jsonb, big int8)`;
    const session = await sql.reserve();
    try {
      await values(session, show);
      await cursors(session, show);
      await errors(session, show);
    } finally {
      session.release();
    }
    await transactions(sql, show);
    await pipelined(sql, show);
    await notifications(sql, show);
    await cancelled(sql, show);
  } finally {
    await sql.end({ timeout: 5 });
  }
  return lines.join('\n');
}

async function values(sql: postgres.ReservedSql, show: Show): Promise<void> {
  const rows = [
    {
      word: "ünïcödé 日本語 😀 'quoted' \\ $1",
      bytes: Buffer.from([0, 255, 92, 39]),
      moment: new Date('2024-02-29T12:30:15.123Z'),
      numbers: [1, -3],
      document: sql.json({ ä: [1, null] }),
      big: '9223372036854775807',
    },
    { word: '', bytes: Buffer.alloc(0), moment: new Date(0), numbers: [], document: sql.json('text'), big: '-1' },
    { word: null, bytes: null, moment: null, numbers: null, document: null, big: null },
  ];
  show('inserted', await sql`INSERT INTO item ${sql(rows)} RETURNING id`);
  for (let round = 0; round < 6; round++) {
    const found = await sql`SELECT * FROM item WHERE id = ${(round % 3) + 1}`;
    show(
      'found',
      found.columns.map(({ name, type }) => [name, type]),
      found,
    );
  }
  const changed = await sql`UPDATE item SET ${sql({ word: 'changed', big: '5' })} WHERE id = ${3} RETURNING word`;
  show('changed', changed.count, changed.command, changed);
  show('in', await sql`SELECT id FROM item WHERE id IN ${sql([1, 3])} ORDER BY id`);
  show('as values', await sql`SELECT ${1}::int AS a, ${'x'}::text AS a`.values());
  const described = await sql`SELECT id, word FROM item WHERE big > ${'1'}`.describe();
  show(
    'described',
    described.types,
    described.columns.map(({ name }) => name),
  );
  show('simple', await sql`SELECT 1 AS one; SELECT 2 AS two`.simple());
  show('unsafe', await sql.unsafe('SELECT $1::int + $2::int AS sum', [40, 2]));
  show('prepared', await sql.unsafe('SELECT $1::int AS n', [7], { prepare: true }));
}

async function cursors(sql: postgres.ReservedSql, show: Show): Promise<void> {
  const counts: number[] = [];
  await sql`SELECT n FROM generate_series(1, ${1000}) AS n`.cursor(300, (rows) => {
    counts.push(rows.length);
    return undefined;
  });
  show('cursor', counts);
  let sum = 0;
  for await (const [row] of sql`SELECT n FROM generate_series(1, ${50}) AS n`.cursor()) sum += Number(row?.['n']);
  show('one by one', sum);
  let seen = 0;
  await sql`SELECT n FROM generate_series(1, ${1000}) AS n`.cursor(10, () => {
    seen += 1;
    return seen === 3 ? sql.CLOSE : undefined;
  });
  show('closed early', seen);
  let total = 0;
  await sql`SELECT n FROM generate_series(1, ${1000}) AS n`.forEach((row) => {
    total += Number(row['n']);
  });
  show('for each', total);
}

async function transactions(sql: postgres.Sql, show: Show): Promise<void> {
  const result = await sql.begin(async (own) => {
    const [row] = await own`INSERT INTO item (word) VALUES (${'in a transaction'}) RETURNING id`;
    await own
      .savepoint(async (inner) => {
        await inner`INSERT INTO item (word) VALUES (${'never'})`;
        await inner`INSERT INTO item (id) VALUES (${1})`;
      })
      .catch((error: unknown) => tell(show, 'savepoint', error));
    return [row, await own`SELECT count(*)::int AS count FROM item`];
  });
  show('committed', result);
  await refused(
    show,
    'rolled back',
    sql.begin(async (own) => {
      await own`DELETE FROM item WHERE id > ${0}`;
      await own`SELECT 1 / ${0}::int`;
    }),
  );
  // Sent at once, answered in order.
  const together = await sql.begin((own) => [
    own`INSERT INTO item (word) VALUES (${'one of a pipeline'})`,
    own`UPDATE item SET big = ${1} WHERE word = ${'one of a pipeline'} RETURNING big`,
    own`SELECT big FROM item WHERE word = ${'one of a pipeline'}`,
  ]);
  show('together', together);
  await refused(
    show,
    'read only',
    sql.begin('READ ONLY', (own) => own`INSERT INTO item (word) VALUES (${'never'})`),
  );
  show('words', await sql.begin((own) => [own`LOCK TABLE item`, own`SELECT word FROM item ORDER BY id`]));
}

/** Queries that are not waited for go to the same few connections, one behind another. */
async function pipelined(sql: postgres.Sql, show: Show): Promise<void> {
  const answers = await Promise.all(Array.from({ length: 60 }, (_, n) => sql`SELECT ${n}::int AS n`));
  show('pipelined', answers.map(([row]) => Number(row?.['n'])).join(' '));
  const mixed = await Promise.allSettled(
    Array.from({ length: 40 }, (_, n) =>
      n % 8 === 3 ? sql`SELECT 1 / ${0}::int AS n` : sql`INSERT INTO item (big) VALUES (${n}) RETURNING big`,
    ),
  );
  show(
    'mixed',
    mixed.map((one) => (one.status === 'fulfilled' ? one.value : String(one.reason))),
  );
}

async function errors(sql: postgres.ReservedSql, show: Show): Promise<void> {
  await refused(show, 'unique', sql`INSERT INTO item (word) VALUES (${'changed'})`);
  await refused(show, 'syntax', sql`SELECT 'ä', FROM item`);
  await refused(show, 'division', sql`SELECT 1 / ${0}::int`);
  await refused(show, 'unknown', sql`INSERT INTO nothing VALUES (${1})`);
  await sql`DO $$ BEGIN RAISE WARNING 'ä'; END $$`;
  show('afterwards', await sql`SELECT ${'goes on'}::text AS answer`);
}

async function notifications(sql: postgres.Sql, show: Show): Promise<void> {
  const heard: string[] = [];
  let wake: (() => void) | undefined;
  const both = new Promise<void>((resolve) => {
    wake = resolve;
  });
  const { unlisten } = await sql.listen('bell', (payload) => {
    if (heard.push(payload) === 2) wake?.();
  });
  await sql.notify('bell', 'ünï');
  await sql.begin((own) => own`SELECT pg_notify(${'bell'}, ${'in a transaction'})`);
  await both;
  await unlisten();
  show('notifications', heard);
}

/** postgres.js asks once; a request that comes before its query is lost, on a server as well. */
async function cancelled(sql: postgres.Sql, show: Show): Promise<void> {
  for (let attempt = 0; attempt < 5; attempt++) {
    const work = sql`SELECT pg_sleep(${5})`.execute();
    const asking = setTimeout(() => work.cancel(), 500);
    try {
      await work;
    } catch (error) {
      tell(show, 'cancelled', error);
      break;
    } finally {
      clearTimeout(asking);
    }
  }
  show('afterwards', await sql`SELECT ${'goes on'}::text AS answer`);
}

async function refused(show: Show, what: string, work: PromiseLike<unknown>): Promise<void> {
  try {
    await work;
    show(what, 'not refused');
  } catch (error) {
    tell(show, what, error);
  }
}

function tell(show: Show, what: string, error: unknown): void {
  if (!(error instanceof postgres.PostgresError)) throw error;
  const { severity, code, message, detail, table_name: table, constraint_name: constraint, position } = error;
  show(what, severity, code, message, detail, table, constraint, position);
}
