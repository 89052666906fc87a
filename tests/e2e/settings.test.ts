/** Settings are in force where a session's statements run, and are what they would be on one server. */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import type { BackendMessage } from '../support/backend-messages.ts';
import { sql } from '../support/cluster.ts';
import { RawClient } from '../support/raw-client.ts';
import { errorIn, replayed, startScene, until } from './scene.ts';

const scene = await startScene({ poolSize: 1, poolWaitMs: 20_000 });
const { cluster, proxy } = scene;
const { w1, w2 } = cluster;

for (const server of [w1, w2]) {
  await sql(
    server,
    `CREATE ROLE one; CREATE ROLE two; GRANT one TO two; CREATE SCHEMA near; CREATE SCHEMA far;
     CREATE TABLE near.spot (id int PRIMARY KEY, at timestamptz, by text); CREATE TABLE far.spot (id int PRIMARY KEY, at timestamptz, by text);
     INSERT INTO near.spot VALUES (0, '2024-02-01', 'near'); INSERT INTO far.spot VALUES (0, '2024-02-01', 'far');
     GRANT ALL ON ALL TABLES IN SCHEMA near, far TO one; GRANT USAGE ON SCHEMA near, far TO one;
     CREATE TABLE public.pace (id int); GRANT ALL ON pace TO two`,
  );
}
await replayed(cluster);

async function connect(to: { readonly host: string; readonly port: number } = proxy): Promise<RawClient> {
  const client = await RawClient.start({ host: to.host, port: to.port, user: 'postgres', database: 'postgres' });
  after(() => client.destroy());
  return client;
}

async function run(client: RawClient, ...texts: readonly string[]): Promise<void> {
  for (const text of texts) {
    const failed = (await client.query(text)).find(({ type }) => type === 'ErrorResponse');
    assert.equal(failed, undefined, `${text}: ${JSON.stringify(failed)}`);
  }
}

function rowsOf(messages: readonly BackendMessage[]): readonly string[] {
  return messages.flatMap((message) =>
    message.type === 'DataRow' ? [message.values.map((value) => value?.toString() ?? 'NULL').join(' | ')] : [],
  );
}

async function valueOf(client: RawClient, text: string): Promise<string | undefined> {
  return rowsOf(await client.query(text))[0];
}

/** Of the reader, once the session may read there. */
async function onReader(client: RawClient, text: string): Promise<string | undefined> {
  let answer: string | undefined;
  await until('the reader serves the session', async () => {
    answer = await valueOf(client, `/* pprox: reader */ SELECT pg_is_in_recovery(), ${text}`);
    return answer?.startsWith('t | ') === true;
  });
  return answer?.slice('t | '.length);
}

describe('a session with settings of its own', () => {
  test('reads on the reader, under them', async () => {
    const client = await connect();
    await run(client, "SET search_path = far; SET DateStyle = 'German'", "SET TIME ZONE 'Asia/Tokyo'", 'SET ROLE one');
    assert.equal(
      await onReader(client, 'by, at, current_user FROM spot'),
      `far | 01.02.2024 08:00:00 JST | one`.replace('08:00:00', '09:00:00'),
    );
    assert.equal(await onReader(client, 'by, at, current_user FROM spot'), 'far | 01.02.2024 09:00:00 JST | one');
    await run(client, 'RESET ROLE', 'RESET search_path', 'RESET DateStyle');
    assert.match(
      (await onReader(client, "current_user, current_setting('search_path'), at FROM near.spot")) ?? '',
      /^postgres \| "\$user", public \| 2024-02-01 0/,
    );
  });

  test('writes the same on every writer under them', async () => {
    const client = await connect();
    await run(
      client,
      'SET search_path = near',
      "SET DateStyle = 'SQL, DMY'",
      "SET TimeZone = 'America/Lima'",
      'SET ROLE one',
    );
    await run(client, "INSERT INTO spot VALUES (1, '03/04/2024 05:06', current_user)");
    await run(
      client,
      'BEGIN',
      "SET DateStyle = 'SQL, MDY'",
      "INSERT INTO spot VALUES (2, '03/04/2024', 'x')",
      'COMMIT',
    );
    await run(client, "INSERT INTO spot VALUES (3, '03/04/2024', 'y')");
    await run(client, 'RESET ALL', "INSERT INTO near.spot VALUES (4, '2024-03-04', 'z')");
    const text = `SELECT id, extract(epoch FROM at)::int AS at, by FROM near.spot WHERE id > 0 ORDER BY id`;
    assert.deepEqual(await sql(w1, text), await sql(w2, text));
    const [first, second, third] = await sql(w1, text);
    assert.deepEqual(first, { id: 1, at: Date.UTC(2024, 3, 3, 10, 6) / 1000, by: 'one' });
    assert.equal(second?.['at'], Date.UTC(2024, 2, 4, 5) / 1000);
    assert.equal(third?.['at'], Date.UTC(2024, 2, 4, 5) / 1000);
  });

  test('gives its connections back after each transaction', async () => {
    const [first, second] = [await connect(), await connect()];
    await run(first, "SET search_path = far; SET my.own = 'first'");
    await run(second, 'SET search_path = near', "SET my.own = 'second'");
    const seen: (string | undefined)[] = [];
    for (let round = 0; round < 3; round++) {
      for (const client of [first, second]) {
        seen.push(
          await valueOf(
            client,
            "/* pprox: lead */ SELECT by, current_setting('my.own'), inet_client_port() FROM spot WHERE id = 0",
          ),
        );
      }
    }
    const [, , port] = seen[0]?.split(' | ') ?? [];
    const both = [`far | first | ${port}`, `near | second | ${port}`];
    assert.deepEqual(seen, [...both, ...both, ...both], 'on one and the same server session');
  });

  test('does not make its reader writable, nor a follower read-only', async () => {
    const client = await connect();
    for (const text of [
      'SET default_transaction_read_only = off',
      'SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE',
      'BEGIN READ ONLY; SELECT 1; SET default_transaction_read_only = off; COMMIT',
      'RESET ALL',
    ]) {
      await run(client, text);
      assert.equal(await onReader(client, "current_setting('default_transaction_read_only')"), 'on', text);
    }
    await run(client, 'SET default_transaction_read_only = on');
    assert.equal(errorIn(await client.query("INSERT INTO near.spot VALUES (10, '2024-01-01', 'no')"))['C'], '25006');
    await run(client, "BEGIN READ WRITE; INSERT INTO near.spot VALUES (10, '2024-01-01', 'yes'); COMMIT");
    assert.deepEqual(await sql(w2, 'SELECT by FROM near.spot WHERE id = 10'), [{ by: 'yes' }]);
    await run(client, 'BEGIN; SET TRANSACTION READ WRITE; DELETE FROM near.spot WHERE id = 10; COMMIT');
    assert.deepEqual(await sql(w2, 'SELECT by FROM near.spot WHERE id = 10'), []);
  });

  test('that is serializable by default reads on the lead', async () => {
    const client = await connect();
    await run(client, "SET default_transaction_isolation = 'serializable'");
    const text = '/* pprox: reader */ SELECT pg_is_in_recovery()';
    assert.equal(await valueOf(client, text), 'f');
    await run(client, "SET default_transaction_isolation = 'repeatable read'");
    assert.equal(await valueOf(client, text), 't');
  });

  test('may still say how its transaction is isolated behind a SET in it', async () => {
    const client = await connect();
    await run(
      client,
      'BEGIN',
      'SET search_path = far',
      'SET TRANSACTION ISOLATION LEVEL SERIALIZABLE',
      'SELECT FROM spot',
      'COMMIT',
    );
  });

  test('whose settings no fresh connection takes is told so, and nothing is run', async () => {
    const [client, other] = [await connect(), await connect()];
    await sql(w1, 'CREATE ROLE short_lived');
    await sql(w2, 'CREATE ROLE short_lived');
    await run(client, 'SET ROLE short_lived');
    await run(other, '/* pprox: lead */ SELECT 1');
    for (const server of [w1, w2]) await sql(server, 'DROP ROLE short_lived');
    const { C, M } = errorIn(await client.query("INSERT INTO near.spot VALUES (11, '2024-01-01', 'no')"));
    assert.equal(C, '22023');
    assert.match(
      M ?? '',
      /^lead 127\.0\.0\.1:\d+ does not take the settings of this session: role "short_lived" does not exist$/,
    );
    assert.deepEqual(await sql(w1, 'SELECT FROM near.spot WHERE id = 11'), []);
    await run(other, '/* pprox: lead */ SELECT 1');
  });

  test('is not held up by the settings of others', async () => {
    const [hasty, client] = [await connect(), await connect()];
    await run(hasty, 'SET statement_timeout = 1; SET lock_timeout = 1');
    for (let round = 0; round < 5; round++) {
      await hasty.query('/* pprox: lead */ SELECT pg_sleep(0.02)');
      assert.equal(await valueOf(client, "/* pprox: lead */ SELECT current_setting('statement_timeout')"), '0');
      await run(client, '/* pprox: lead */ SELECT pg_sleep(0.02)');
    }
  });

  test('is pinned for what cannot be read back, and its settings hold on all servers', async () => {
    const client = await connect();
    await run(
      client,
      "SELECT set_config('search' || '_path', 'far', false)",
      "INSERT INTO spot VALUES (20, '2024-01-01', 'x')",
    );
    for (const server of [w1, w2])
      assert.deepEqual(await sql(server, 'SELECT by FROM far.spot WHERE id = 20'), [{ by: 'x' }]);
    assert.equal(await valueOf(client, 'SELECT by FROM spot WHERE id = 20'), 'x');
  });
});

describe('in the extended query protocol', () => {
  test('a statement that clients share is read under the settings of each', async () => {
    const [german, american] = [await proxy.connect(), await proxy.connect()];
    await german.query({ text: "SET DateStyle = 'ISO, DMY'", values: [] });
    const day = {
      name: 'day',
      text: "SELECT '03/04/2024'::date::text AS day, $1::date::text AS given",
      values: ['03/04/2024'],
    };
    for (let round = 0; round < 3; round++) {
      assert.deepEqual((await german.query(day)).rows, [{ day: '2024-04-03', given: '2024-04-03' }]);
      assert.deepEqual((await american.query(day)).rows, [{ day: '2024-03-04', given: '2024-03-04' }]);
    }
  });

  test('a statement that is prepared under SET LOCAL is nobody else’s', async () => {
    const [first, second] = [await proxy.connect(), await proxy.connect()];
    const day = { name: 'day', text: "/* pprox: lead */ SELECT '05/06/2024'::date::text AS day", values: [] };
    await first.query('BEGIN');
    await first.query("SET LOCAL DateStyle = 'ISO, DMY'");
    // Behind another statement it is used by the name that clients share.
    for (let use = 0; use < 2; use++) {
      assert.deepEqual((await first.query(day)).rows, [{ day: '2024-06-05' }]);
      await first.query('SELECT 1');
    }
    await first.query('COMMIT');
    for (let use = 0; use < 2; use++) {
      assert.deepEqual((await second.query(day)).rows, [{ day: '2024-05-06' }]);
      await second.query('/* pprox: lead */ SELECT 1');
    }
  });

  test('settings by parameters follow the session; by a name in a parameter they pin it', async () => {
    const [client, other] = [await proxy.connect(), await proxy.connect()];
    const set = 'SELECT set_config($1, $2, false)';
    await client.query("SELECT set_config('my.own', $1, false)", ["x'y"]);
    await other.query('/* pprox: lead */ SELECT 1');
    const shown =
      "/* pprox: lead */ SELECT current_setting('my.own', true) AS own, current_setting('work_mem') AS memory";
    assert.deepEqual((await client.query(shown)).rows, [{ own: "x'y", memory: '4MB' }]);
    assert.deepEqual((await other.query(shown)).rows, [{ own: null, memory: '4MB' }]);
    await client.query(set, ['work_mem', '9MB']);
    assert.equal(proxy.proxy.cluster.lead.pool.idleCount, 0);
    assert.deepEqual((await client.query(shown)).rows, [{ own: "x'y", memory: '9MB' }]);
    await client.end();
    await other.query('INSERT INTO pace VALUES (1)');
    assert.deepEqual((await other.query(shown)).rows, [{ own: null, memory: '4MB' }]);
  });
});

describe('a session is not pinned any more', () => {
  const states: Readonly<Record<string, readonly [begins: readonly string[], ends: readonly string[]]>> = {
    'when its temporary table is dropped': [['CREATE TEMP TABLE t (id int)'], ['DROP TABLE t']],
    'by DISCARD TEMP': [['CREATE TEMP TABLE t (id int)', 'CREATE TEMP VIEW v AS TABLE t'], ['DISCARD TEMP']],
    'when its advisory locks are free': [
      ['SELECT pg_advisory_lock(1), pg_advisory_lock(2)'],
      ['SELECT pg_advisory_unlock(1)', 'SELECT pg_advisory_unlock(2)'],
    ],
    'by pg_advisory_unlock_all()': [
      ['SELECT pg_advisory_lock(1), pg_advisory_lock(2)'],
      ['SELECT pg_advisory_unlock_all()'],
    ],
    'when its held cursor is closed': [['BEGIN; DECLARE c CURSOR WITH HOLD FOR SELECT 1; COMMIT'], ['CLOSE c']],
    'by CLOSE ALL': [['BEGIN; DECLARE c CURSOR WITH HOLD FOR SELECT 1; COMMIT'], ['CLOSE ALL']],
    'by DISCARD ALL': [
      ['CREATE TEMP TABLE t (id int)', 'SELECT pg_advisory_lock(1)', 'SET search_path = far', 'SET ROLE one'],
      ['RESET ROLE', 'DISCARD ALL'],
    ],
  };
  for (const [how, [begins, ends]] of Object.entries(states)) {
    test(how, async () => {
      const [client, other] = [await connect(), await connect()];
      await run(client, 'SET search_path = near', ...begins);
      const { lead } = proxy.proxy.cluster;
      for (const text of ends) {
        assert.equal(lead.pool.idleCount, 0, `pinned before ${text}`);
        await run(client, text);
      }
      assert.equal(lead.pool.idleCount, 1);
      const empty = 'SELECT count(*) FROM pg_class WHERE relnamespace = pg_my_temp_schema()';
      assert.equal(await valueOf(other, `/* pprox: lead */ ${empty}`), '0');
      assert.equal(await valueOf(other, '/* pprox: lead */ SELECT pg_try_advisory_lock(1)'), 't');
    });
  }
});

describe('settings are what they are on PostgreSQL alone, while another client uses the same connections', () => {
  const PROBE = `/* pprox: lead */ SELECT current_user, session_user, ${[
    'work_mem',
    'search_path',
    'DateStyle',
    'TimeZone',
    'application_name',
    'default_transaction_read_only',
    'my.own',
    'my.other',
  ]
    .map((name) => `current_setting('${name}', true)`)
    .join(', ')}`;

  const outside = [
    'BEGIN',
    'BEGIN',
    'BEGIN READ ONLY',
    'DISCARD ALL',
    "SET work_mem = '7MB'; SELECT 1 / 0",
    "SET work_mem = '8MB'; SET my.own = 'several'",
  ];
  const inside = [
    'SAVEPOINT s',
    'SAVEPOINT s',
    'SAVEPOINT t',
    'ROLLBACK TO s',
    'ROLLBACK TO s',
    'ROLLBACK TO t',
    'RELEASE s',
    'RELEASE t',
    'SELECT 1 / 0',
    'COMMIT',
    'COMMIT',
    'COMMIT AND CHAIN',
    'ROLLBACK',
    'ROLLBACK AND CHAIN',
  ];
  const anywhere = [
    "SET work_mem = '5MB'",
    'SET work_mem = 65',
    'RESET work_mem',
    "SET LOCAL work_mem = '6MB'",
    'SET search_path = near, "fa""r", public',
    "SELECT set_config('search_path', 'far', false)",
    "SELECT set_config('search_path', 'near', true)",
    "SET DateStyle = 'German'",
    "SET DateStyle = 'DMY'",
    "SET DateStyle = 'nonsense'",
    'RESET DateStyle',
    "SET TIME ZONE 'Asia/Tokyo'",
    "SET TIME ZONE INTERVAL '-03:30' HOUR TO MINUTE",
    'SET TIME ZONE DEFAULT',
    "SET LOCAL TimeZone = 'UTC'",
    "SET application_name = 'näme'",
    "SET my.own = 'x'",
    "SET LOCAL my.own = 'y'",
    'RESET my.own',
    "SELECT set_config('my.other', 'o''ther \\ \u2603', false)",
    "SELECT set_config('my.other', 'transaction', true)",
    'SET ROLE one',
    'SET ROLE two',
    'SET ROLE NONE',
    'RESET ROLE',
    'SET LOCAL ROLE one',
    'SET SESSION AUTHORIZATION two',
    'RESET SESSION AUTHORIZATION',
    'SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY',
    'SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE',
    'RESET ALL',
    'SET no_such_setting = 1',
  ];

  /** What a client sees of it: completions, rows, errors, and what it is told of its settings. */
  function seen(messages: readonly BackendMessage[]): readonly unknown[] {
    const told = messages.flatMap((message) =>
      message.type === 'ParameterStatus' ? [`${message.name}=${message.value}`] : [],
    );
    const rest = messages.flatMap((message): unknown[] => {
      if (message.type === 'ErrorResponse' || message.type === 'NoticeResponse') {
        const fields = Object.fromEntries(message.fields);
        return [[fields['S'], fields['C'], fields['M']]];
      }
      if (message.type === 'ParameterStatus') return [];
      return [message];
    });
    return [...told.sort(), ...rest];
  }

  const blocks: Readonly<Record<string, readonly string[]>> = {
    'SET and ROLLBACK': ['BEGIN', "SET work_mem = '7MB'", 'ROLLBACK'],
    'SET and a failed COMMIT': ['BEGIN', "SET work_mem = '7MB'", 'SELECT 1 / 0', 'COMMIT'],
    'SET, RESET and ROLLBACK': ["SET work_mem = '5MB'", 'BEGIN', 'RESET work_mem', 'ROLLBACK'],
    'SET before and after a savepoint that is rolled back to': [
      'BEGIN',
      "SET work_mem = '6MB'; SET my.own = 'x'",
      'SAVEPOINT s',
      "SET work_mem = '7MB'; SET my.own = 'y'; SET ROLE one",
      'ROLLBACK TO s',
      'COMMIT',
    ],
    'SET after a savepoint that is released': ['BEGIN', 'SAVEPOINT s', "SET work_mem = '7MB'", 'RELEASE s', 'COMMIT'],
    'SET in a failed part that is rolled back': [
      'BEGIN',
      'SAVEPOINT s',
      'SET search_path = far',
      'SELECT 1 / 0',
      'ROLLBACK TO s',
      "SET work_mem = '7MB'",
      'COMMIT',
    ],
    'savepoints of one name': [
      'BEGIN',
      'SAVEPOINT s',
      "SET work_mem = '5MB'",
      'SAVEPOINT s',
      "SET work_mem = '6MB'",
      'ROLLBACK TO s',
      'RELEASE s',
      'ROLLBACK TO s',
      'SET search_path = near',
      'COMMIT',
    ],
    'SET behind SET LOCAL': ['BEGIN', "SET LOCAL work_mem = '6MB'", "SET work_mem = '7MB'", 'COMMIT'],
    'SET LOCAL behind SET': ['BEGIN', "SET work_mem = '7MB'", "SET LOCAL work_mem = '6MB'", 'COMMIT'],
    'SET LOCAL of a custom setting': ['BEGIN', "SET LOCAL my.own = 'y'", 'COMMIT'],
    'COMMIT AND CHAIN': ['BEGIN', "SET work_mem = '7MB'", 'COMMIT AND CHAIN', "SET work_mem = '8MB'", 'ROLLBACK'],
    'ROLLBACK AND CHAIN': ['BEGIN', "SET work_mem = '7MB'", 'ROLLBACK AND CHAIN', 'SET search_path = far', 'COMMIT'],
    'several statements in one text': [
      "SET work_mem = '7MB'; SET search_path = far; COMMIT; SET my.own = 'x'; SELECT 1 / 0",
    ],
    'a read-only block on the reader': [
      'BEGIN READ ONLY',
      'SELECT 1',
      "SET work_mem = '7MB'",
      'SAVEPOINT s',
      'SET search_path = far',
      'ROLLBACK TO s',
      'COMMIT',
    ],
    'a read-only block on the reader that is rolled back': [
      'BEGIN READ ONLY',
      'SELECT 1',
      "SET work_mem = '7MB'",
      'ROLLBACK',
    ],
    'a read-only block on the reader that has failed': [
      'BEGIN READ ONLY; SELECT 1',
      "SET work_mem = '7MB'",
      'SELECT 1 / 0',
      'COMMIT',
    ],
  };
  for (const [what, texts] of Object.entries(blocks)) {
    test(what, async () => {
      const [ours, bare, other] = [await connect(), await connect(w1), await connect()];
      for (const text of texts) {
        assert.deepEqual(seen(await ours.query(text)), seen(await bare.query(text)), text);
      }
      for (let round = 0; round < 2; round++) {
        assert.deepEqual(rowsOf(await ours.query(PROBE)), rowsOf(await bare.query(PROBE)));
        await run(
          other,
          "SET work_mem = '9MB'; SET search_path = public; SET my.own = 'z'; SET my.other = 'z'; SET ROLE two",
        );
        await run(other, 'INSERT INTO public.pace VALUES (1)');
      }
      const reader = PROBE.replace('lead', 'reader');
      assert.deepEqual(
        rowsOf(await ours.query(reader)).map((row) => row.replace(' | on | ', ' | off | ')),
        rowsOf(await bare.query(PROBE)),
      );
    });
  }

  for (let seed = 1; seed <= 12; seed++) {
    test(`at random, seed ${seed}`, async () => {
      let state = seed * 2654435761;
      const below = (limit: number): number => {
        state = (Math.imul(state, 1103515245) + 12345) >>> 0;
        return Math.floor((state / 2 ** 32) * limit);
      };
      const pick = (list: readonly string[]): string => list[below(list.length)] ?? '';
      const pairs = await Promise.all([1, 2].map(async () => ({ ours: await connect(), bare: await connect(w1) })));
      const history: string[] = [];
      for (let turn = 0; turn < 12; turn++) {
        const pair = pairs[turn % 2];
        assert.ok(pair !== undefined);
        let status = 'I';
        // A client keeps the only connection until its transaction is over.
        for (let step = 0; step < 4 || status !== 'I'; step++) {
          const text = step > 12 ? 'ROLLBACK' : pick(below(3) > 0 ? anywhere : status === 'I' ? outside : inside);
          history.push(`${turn % 2}: ${text}`);
          const ours: readonly BackendMessage[] = await pair.ours.query(text);
          const bare: readonly BackendMessage[] = await pair.bare.query(text);
          assert.deepEqual(seen(ours), seen(bare), history.join('\n'));
          const last = bare.at(-1);
          assert.equal(last?.type, 'ReadyForQuery');
          status = last.status;
          const probed: readonly string[] = rowsOf(await pair.ours.query(PROBE));
          assert.deepEqual(probed, rowsOf(await pair.bare.query(PROBE)), history.join('\n'));
        }
      }
      for (const { ours, bare } of pairs) {
        ours.destroy();
        bare.destroy();
      }
    });
  }
});
