/** Commits in two phases on real servers: what they leave, and what recovery makes of what a dead coordinator has left. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import pg from 'pg';
import { DECISION, fenceText } from '../../src/commit/decisions.ts';
import { formatGid, type Home } from '../../src/commit/gid.ts';
import type { Server } from '../../src/embedded/server.ts';
import { sql } from '../support/cluster.ts';
import { copyData, copyDone, query } from '../support/frontend-messages.ts';
import { clusterDsn, startTestProxy } from '../support/proxy.ts';
import { becomePlain, assertWritersEqual, connectRaw, refusal, startScene, until, value } from './scene.ts';

const settings = {
  commitMode: 'two-phase',
  recoveryIntervalMs: 50,
  recoveryGraceMs: 300,
  recoveryAlarmMs: 500,
} as const;
const scene = await startScene(settings, { reader: false });
const { cluster, proxy } = scene;
const { w1, w2 } = cluster;

let home: Home;

before(async () => {
  const client = await proxy.connect();
  await client.query('CREATE TABLE kept (id int PRIMARY KEY, n int NOT NULL DEFAULT 0)');
  const [row] = await sql(
    w1,
    `SELECT (SELECT system_identifier FROM pg_control_system())::text AS system,
       (SELECT oid FROM pg_database WHERE datname = current_database())::text AS database`,
  );
  home = { systemIdentifier: String(row?.['system']), databaseOid: String(row?.['database']) };
});

function gids(server: Server): Promise<readonly string[]> {
  return sql(server, 'SELECT gid FROM pg_prepared_xacts ORDER BY gid').then((rows) =>
    rows.map((row) => String(row['gid'])),
  );
}

/** What a coordinator leaves on the follower that is killed between PREPARE and COMMIT PREPARED. */
async function prepare(server: Server, gid: string, row: number): Promise<void> {
  await sql(server, `BEGIN; INSERT INTO kept VALUES (${row}); PREPARE TRANSACTION '${gid}'`);
}

async function rowsOf(server: Server, row: number): Promise<number> {
  return (await sql(server, `SELECT FROM kept WHERE id = ${row}`)).length;
}

describe('a commit', () => {
  test('leaves its decision on the lead, nothing prepared, and the same on every writer', async () => {
    const client = await proxy.connect();
    const before = (await sql(w1, 'SELECT FROM pprox.decision')).length;
    await client.query('INSERT INTO kept VALUES (1)');
    await client.query('BEGIN; INSERT INTO kept VALUES (2); UPDATE kept SET n = 5 WHERE id = 1; COMMIT');
    await client.query('SELECT count(*) FROM kept');
    assert.equal((await sql(w1, 'SELECT FROM pprox.decision')).length, before + 2);
    assert.deepEqual(await sql(w1, 'SELECT FROM pprox.decision WHERE NOT committed'), []);
    assert.deepEqual(await gids(w2), []);
    await assertWritersEqual(cluster);
  });

  test('under sixteen clients that contend leaves nothing prepared and no difference', async () => {
    const clients = await Promise.all(Array.from({ length: 16 }, () => proxy.connect()));
    await clients[0]?.query('CREATE TABLE parent (id int PRIMARY KEY)');
    await clients[0]?.query('CREATE TABLE child (id serial PRIMARY KEY, parent int REFERENCES parent)');
    await clients[0]?.query('INSERT INTO kept SELECT g, 0 FROM generate_series(100, 103) g');
    let parents = 0;
    await Promise.all(
      clients.map(async (client) => {
        for (let round = 0; round < 12; round++) {
          await client.query(`INSERT INTO parent VALUES (${++parents})`);
          // The parent that the lead shows last: most likely its COMMIT PREPARED is under way.
          await client.query('INSERT INTO child (parent) SELECT max(id) FROM parent');
          await client.query(`UPDATE kept SET n = n + 1 WHERE id = ${100 + (round % 4)}`);
          await client.query('BEGIN; INSERT INTO child (parent) SELECT max(id) FROM parent; COMMIT');
        }
      }),
    );
    assert.equal(await value(clients[0] as pg.Client, 'SELECT sum(n)::int FROM kept WHERE id >= 100'), 16 * 12);
    assert.deepEqual(await gids(w2), []);
    await assertWritersEqual(cluster);
  });

  test('that a trigger makes impossible to prepare is refused, and says what to do', async () => {
    const client = await proxy.connect();
    await client.query('CREATE TABLE loud (id int)');
    await client.query(
      "CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_notify($$loud$$, $$x$$); RETURN NULL; END'",
    );
    await client.query('CREATE TRIGGER shout AFTER INSERT ON loud FOR EACH ROW EXECUTE FUNCTION shout()');
    await becomePlain(cluster, client);
    const error = await refusal(client.query('INSERT INTO loud VALUES (1)'));
    assert.equal(error.code, '0A000', error.message);
    assert.match(error.hint ?? '', /Disable there the trigger/);
    for (const writer of [w1, w2]) assert.deepEqual(await sql(writer, 'SELECT FROM loud'), []);
    await sql(w2, 'ALTER TABLE loud DISABLE TRIGGER shout');
    await client.query('LISTEN loud');
    await client.query('INSERT INTO loud VALUES (2)');
    for (const writer of [w1, w2]) assert.equal((await sql(writer, 'SELECT FROM loud')).length, 1);
  });

  test('of a transaction that may not write needs no decision', async () => {
    const client = await proxy.connect();
    const before = (await sql(w1, 'SELECT FROM pprox.decision')).length;
    await client.query('BEGIN READ ONLY; SET LOCAL work_mem = 65; SET application_name = $$reads$$; SELECT 1; COMMIT');
    await client.query('SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY');
    await client.query('SET work_mem = 65; SET application_name = $$reads on$$');
    await client.query('SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE');
    assert.equal((await sql(w1, 'SELECT FROM pprox.decision')).length, before);
  });

  test('of a transaction that is made read only is refused beforehand where it has written, and only there', async () => {
    const client = await proxy.connect();
    for (const text of [
      'SET TRANSACTION READ ONLY',
      'SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ ONLY',
      'SET transaction_read_only = on',
      'BEGIN READ ONLY',
    ]) {
      await client.query('BEGIN; INSERT INTO kept VALUES (15)');
      const error = await refusal(client.query(text));
      assert.equal(error.code, '0A000', error.message);
      assert.match(error.message, /that has written cannot be made read only/);
      assert.equal((await client.query('COMMIT')).command, 'ROLLBACK');
      // Nothing was written: as PostgreSQL does it.
      await client.query(`BEGIN; UPDATE kept SET n = 1 WHERE id = 15; ${text}`);
      assert.equal((await refusal(client.query('INSERT INTO kept VALUES (15)'))).code, '25006');
      await client.query('ROLLBACK');
      await client.query(`BEGIN; UPDATE kept SET n = 1 WHERE id = 15; ${text}; SELECT FROM kept; COMMIT`);
    }
    await client.query(
      'BEGIN; INSERT INTO kept VALUES (15); SELECT set_config($$transaction_read_only$$, $$on$$, true)',
    );
    const late = await refusal(client.query('COMMIT'));
    assert.equal(late.code, '55000', late.message);
    assert.match(late.hint ?? '', /cannot be made read only/);
    assert.deepEqual([await rowsOf(w1, 15), await rowsOf(w2, 15)], [0, 0]);
    assert.deepEqual(await gids(w2), []);
    const onePhase = await startTestProxy({
      writers: cluster.writers.map(clusterDsn),
      settings: { commitMode: 'one-phase' },
    });
    const other = await onePhase.connect();
    await other.query('BEGIN; INSERT INTO kept VALUES (15); SET TRANSACTION READ ONLY; COMMIT');
    assert.deepEqual([await rowsOf(w1, 15), await rowsOf(w2, 15)], [1, 1]);
  });

  test('whose lead could not write its decision is rolled back everywhere', async () => {
    const client = await proxy.connect();
    await sql(w1, 'ALTER TABLE pprox.decision RENAME TO gone');
    await assert.rejects(client.query('INSERT INTO kept VALUES (10)'), {
      code: '55000',
      message: /decision to commit/,
    });
    await sql(w1, 'ALTER TABLE pprox.gone RENAME TO decision');
    await client.query('INSERT INTO kept VALUES (11)');
    assert.deepEqual([await rowsOf(w1, 10), await rowsOf(w2, 10)], [0, 0]);
    assert.deepEqual(await gids(w2), []);
  });

  test('of a client in another role, or with synchronous_commit off, is decided by the login role, durably', async () => {
    const client = await proxy.connect();
    await client.query('CREATE ROLE plain; GRANT ALL ON kept TO plain');
    await sql(w1, 'REVOKE ALL ON pprox.decision FROM PUBLIC');
    await client.query('SET ROLE plain; SET synchronous_commit = off');
    await client.query('INSERT INTO kept VALUES (20)');
    assert.equal(await value(client, 'SELECT current_user'), 'plain');
    assert.equal(await value(client, 'SHOW synchronous_commit'), 'off');
    await client.query('RESET ROLE');
    await client.query('SET SESSION AUTHORIZATION plain');
    await client.query('INSERT INTO kept VALUES (21)');
    await client.query('BEGIN; SET LOCAL ROLE plain; INSERT INTO kept VALUES (22); COMMIT');
    assert.equal(await value(client, 'SELECT session_user'), 'plain');
    await client.query('RESET SESSION AUTHORIZATION');
    assert.equal(await value(client, 'SELECT session_user'), 'postgres');
    for (const row of [20, 21, 22]) assert.deepEqual([await rowsOf(w1, row), await rowsOf(w2, row)], [1, 1]);
  });
});

test('whoever writes a decision has it flushed, and leaves any other setting as it is', async () => {
  const client = new pg.Client({ connectionString: clusterDsn(w1) });
  await client.connect();
  for (const [asked, found] of [
    ['off', 'local'],
    ['on', 'on'],
    ['remote_apply', 'remote_apply'],
  ] as const) {
    for (const text of [DECISION.row.replace('$1', `'${randomUUID()}'`), fenceText(randomUUID())]) {
      await client.query(`SET synchronous_commit = ${asked}`);
      await client.query('BEGIN');
      await client.query(text);
      assert.equal(await value(client, 'SHOW synchronous_commit'), found);
      await client.query('ROLLBACK');
      assert.equal(await value(client, 'SHOW synchronous_commit'), asked);
    }
  }
  await client.end();
});

describe('two processes on the same writers', () => {
  test('give no error and make no difference where the lead shows what a follower has prepared only', async () => {
    const other = await startTestProxy({ writers: cluster.writers.map(clusterDsn), settings });
    const clients = await Promise.all(
      Array.from({ length: 16 }, (_, index) => (index % 2 === 0 ? proxy : other).connect()),
    );
    const [first] = clients;
    assert.ok(first !== undefined);
    await first.query('CREATE TABLE root (id int PRIMARY KEY, n int NOT NULL DEFAULT 0, mark text)');
    await first.query('CREATE TABLE leaf (id serial PRIMARY KEY, root int REFERENCES root)');
    await first.query('INSERT INTO root VALUES (0)');
    let roots = 0;
    await Promise.all(
      clients.map(async (client) => {
        for (let round = 0; round < 15; round++) {
          const own = ++roots;
          await client.query(`INSERT INTO root VALUES (${own}, 0, 'made')`);
          await client.query('INSERT INTO leaf (root) SELECT max(id) FROM root');
          await client.query('BEGIN');
          await client.query(`UPDATE root SET n = n + 1 WHERE id = ${own}`);
          await client.query('INSERT INTO leaf (root) SELECT max(id) FROM root');
          await client.query('COMMIT');
          const last = await value(client, 'SELECT max(id) FROM root');
          await client.query(`UPDATE root SET mark = 'seen' WHERE id = ${String(last)} AND mark IN ('made', 'seen')`);
        }
      }),
    );
    await until('nothing is prepared', async () => (await gids(w2)).length === 0);
    await assertWritersEqual(cluster);
    await other.stop();
  });

  /** Another process has committed `text` on the lead, and the follower has it prepared until recovery comes. */
  async function halfWay(text: string): Promise<void> {
    const id = randomUUID();
    await sql(w2, `BEGIN; ${text}; PREPARE TRANSACTION '${formatGid({ home, id, follower: 0 })}'`);
    await sql(w1, `${text}; INSERT INTO pprox.decision VALUES ('${id}', true)`);
  }

  before(async () => {
    const client = await proxy.connect();
    await client.query('CREATE TABLE early (id int PRIMARY KEY, n int)');
    await client.query('CREATE TABLE late (id serial PRIMARY KEY, early int REFERENCES early)');
    await client.query('CREATE TABLE deferred (early int REFERENCES early DEFERRABLE INITIALLY DEFERRED)');
    await client.query('INSERT INTO early SELECT -g, 0 FROM generate_series(1, 100) g');
  });

  /** What is half way, and the statement that needs it; `key` is another one each time. */
  const cases: Readonly<Record<string, (key: number) => readonly [halfWay: string, statement: string]>> = {
    'a child of a parent that was just made': (key) => [
      `INSERT INTO early VALUES (${key}, 1)`,
      `INSERT INTO late (early) VALUES (${key})`,
    ],
    'rows of a query that name it': (key) => [
      `INSERT INTO early VALUES (${key}, 1)`,
      `INSERT INTO late (early) SELECT id FROM early WHERE id = ${key}`,
    ],
    'an update of a row that was just made': (key) => [
      `INSERT INTO early VALUES (${key}, 1)`,
      `UPDATE early SET n = 4 WHERE id = ${key}`,
    ],
    'a delete of a row that was just made': (key) => [
      `INSERT INTO early VALUES (${key}, 1)`,
      `DELETE FROM early WHERE id = ${key}`,
    ],
    'a predicate on a column that was just changed': (key) => [
      `UPDATE early SET n = ${-key} WHERE id = ${-key}`,
      `UPDATE early SET n = 0 WHERE n = ${-key}`,
    ],
    'a child whose foreign key is looked at in COMMIT': (key) => [
      `INSERT INTO early VALUES (${key}, 1)`,
      `INSERT INTO deferred VALUES (${key})`,
    ],
    'a table that was just made': (key) => [
      `CREATE TABLE fresh_${key} (id int)`,
      `INSERT INTO fresh_${key} VALUES (1)`,
    ],
    'a type that was just made': (key) => [
      `CREATE TYPE tint_${key} AS ENUM ('red')`,
      `CREATE TABLE tinted_${key} (tint tint_${key})`,
    ],
  };

  let key = 0;
  for (const [what, make] of Object.entries(cases)) {
    for (const place of ['alone', 'in a block', 'behind other statements of its block'] as const) {
      test(`wait with ${what}, ${place}`, async () => {
        const client = await proxy.connect();
        const [other, statement] = make(++key);
        if (place !== 'alone') await client.query('BEGIN');
        if (place === 'behind other statements of its block') {
          await client.query(
            `INSERT INTO early VALUES (${1000 + key}, 0); SAVEPOINT s; UPDATE early SET n = 1 WHERE id = ${1000 + key}`,
          );
        }
        await halfWay(other);
        const { rowCount } = await client.query(statement);
        if (!statement.startsWith('CREATE')) assert.equal(rowCount, 1);
        if (place === 'behind other statements of its block') {
          await client.query(`SAVEPOINT s; UPDATE early SET n = 2 WHERE id = ${1000 + key}; ROLLBACK TO s`);
        }
        if (place !== 'alone') await client.query('COMMIT');
        await assertWritersEqual(cluster);
        assert.deepEqual(await gids(w2), []);
      });
    }
  }

  test('wait with a COPY of children of a parent that was just made', async () => {
    const client = await connectRaw(scene);
    await halfWay('INSERT INTO early VALUES (2000, 0)');
    const ready = client.readies + 1;
    client.send(query('COPY late (id, early) FROM STDIN'));
    client.send(Buffer.concat([copyData('1000000\t2000\n'), copyDone()]));
    await client.waitReady(ready);
    const [tag] = client.messages.flatMap((message) => (message.type === 'CommandComplete' ? [message.tag] : []));
    assert.equal(tag, 'COPY 1', JSON.stringify(client.messages));
    await assertWritersEqual(cluster);
  });
});

describe('recovery', () => {
  test('commits what its lead has committed', async () => {
    const id = randomUUID();
    await sql(w1, `INSERT INTO kept VALUES (30); INSERT INTO pprox.decision VALUES ('${id}', true)`);
    await prepare(w2, formatGid({ home, id, follower: 0 }), 30);
    await until('it is recovered', async () => (await gids(w2)).length === 0);
    assert.equal(await rowsOf(w2, 30), 1);
  });

  test('fences and rolls back what its lead has not decided', async () => {
    const id = randomUUID();
    await prepare(w2, formatGid({ home, id, follower: 0 }), 31);
    await until('it is recovered', async () => (await gids(w2)).length === 0);
    assert.equal(await rowsOf(w2, 31), 0);
    assert.deepEqual(await sql(w1, `SELECT committed FROM pprox.decision WHERE id = '${id}'`), [{ committed: false }]);
  });

  test('waits for a decision that is being made', async () => {
    const id = randomUUID();
    const lead = new pg.Client({ host: w1.host, port: w1.port, user: 'postgres', database: 'postgres' });
    await lead.connect();
    after(() => lead.end());
    await lead.query(`BEGIN; INSERT INTO kept VALUES (32); INSERT INTO pprox.decision VALUES ('${id}', true)`);
    await prepare(w2, formatGid({ home, id, follower: 0 }), 32);
    await until('the fence waits', async () => {
      // It is at work: else it would be ended.
      await lead.query('SELECT 1');
      const waiting = await sql(
        w1,
        `SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name = 'pprox: recovery'
           AND query_start < clock_timestamp() - interval '600 ms'`,
      );
      return waiting.length > 0;
    });
    assert.equal((await gids(w2)).length, 1);
    await lead.query('COMMIT');
    await until('it is recovered', async () => (await gids(w2)).length === 0);
    assert.equal(await rowsOf(w2, 32), 1);
  });

  test('ends a session of its role that has written its decision and says nothing more, and no other', async () => {
    const asked = async (user: string, id: string, row: number): Promise<pg.Client> => {
      const lead = new pg.Client({ host: w1.host, port: w1.port, user, database: 'postgres' });
      lead.on('error', () => undefined); // its end
      await lead.connect();
      after(() => lead.end());
      await lead.query(`BEGIN; INSERT INTO pprox.decision VALUES ('${id}', true)`);
      await prepare(w2, formatGid({ home, id, follower: 0 }), row);
      return lead;
    };
    await sql(
      w1,
      'CREATE ROLE stranger LOGIN; GRANT ALL ON SCHEMA pprox TO stranger; GRANT ALL ON pprox.decision TO stranger',
    );
    const [gone, foreign] = [randomUUID(), randomUUID()];
    await asked('postgres', gone, 33);
    const stranger = await asked('stranger', foreign, 34);
    // Idle in a transaction as well, of the same role, and in nobody's way.
    const bystander = new pg.Client({ host: w1.host, port: w1.port, user: 'postgres', database: 'postgres' });
    await bystander.connect();
    after(() => bystander.end());
    await bystander.query('BEGIN; INSERT INTO kept VALUES (35)');
    await until('what nobody works on is over', async () => !(await gids(w2)).join().includes(gone));
    assert.deepEqual([await rowsOf(w1, 33), await rowsOf(w2, 33)], [0, 0]);
    assert.deepEqual(await sql(w1, `SELECT committed FROM pprox.decision WHERE id = '${gone}'`), [
      { committed: false },
    ]);
    const ended = () => proxy.lines.filter(({ event }) => event.startsWith('a session of the lead that kept'));
    assert.equal(ended().length, 1);
    await until('a fence waits for the other, which has said nothing for long', async () => {
      const text = `SELECT FROM pg_stat_activity fence, pg_stat_activity other
        WHERE other.pid = ANY (pg_blocking_pids(fence.pid)) AND other.usename = 'stranger'
          AND other.state_change < clock_timestamp() - interval '2500 ms'`;
      return (await sql(w1, text)).length > 0;
    });
    await stranger.query('COMMIT');
    await bystander.query('ROLLBACK');
    await until('it is over', async () => (await gids(w2)).length === 0);
    assert.equal(await rowsOf(w2, 34), 1);
    assert.equal(ended().length, 1);
    await sql(w2, 'DELETE FROM kept WHERE id = 34');
  });

  test('leaves alone what is not of pprox, or of another cluster, database or follower', async () => {
    const id = randomUUID();
    const strangers = [
      'somebody else',
      'pprox_or_so',
      formatGid({ home: { ...home, systemIdentifier: '7434012345678901234' }, id, follower: 0 }),
      formatGid({ home, id, follower: 7 }),
    ].toSorted();
    for (const [index, gid] of strangers.entries()) await prepare(w2, gid, 40 + index);
    const own = formatGid({ home, id: randomUUID(), follower: 0 });
    await prepare(w2, own, 50);
    await until('what is its own is recovered', async () => !(await gids(w2)).includes(own));
    assert.deepEqual(await gids(w2), strangers);
    for (const gid of strangers) await sql(w2, `ROLLBACK PREPARED '${gid}'`);
  });

  test('tells the operator, once, of what it cannot end', async () => {
    const gid = formatGid({ home: { ...home, databaseOid: '4000000000' }, id: randomUUID(), follower: 0 });
    await prepare(w2, gid, 51);
    const told = () => proxy.lines.filter(({ fields }) => fields['gids'] === gid);
    await until('it is told', () => told().length > 0);
    await sql(w2, 'SELECT pg_sleep(0.5)');
    assert.equal(told().length, 1);
    assert.deepEqual(await gids(w2), [gid]);
    await sql(w2, `ROLLBACK PREPARED '${gid}'`);
  });

  test('of another process does not touch what is younger than the time of grace', async () => {
    const calm = await startTestProxy({
      writers: cluster.writers.map(clusterDsn),
      settings: { ...settings, recoveryGraceMs: 3_600_000 },
    });
    await proxy.stop();
    const gid = formatGid({ home, id: randomUUID(), follower: 0 });
    await prepare(w2, gid, 60);
    const client = await calm.connect();
    for (let row = 61; row < 70; row++) await client.query(`INSERT INTO kept VALUES (${row})`);
    assert.deepEqual(await gids(w2), [gid]);
    await sql(w2, `ROLLBACK PREPARED '${gid}'`);
    await assertWritersEqual(cluster);
  });
});

describe('the table of definitions', () => {
  test('has one row for all processes that have changed nothing for long', async () => {
    const sweeping = await startTestProxy({
      writers: cluster.writers.map(clusterDsn),
      settings: { ...settings, decisionRetentionMs: 300, followerTimeoutMs: 500, commitTimeoutMs: 10 },
    });
    const counts = async (): Promise<string> =>
      JSON.stringify(await sql(w1, 'SELECT sum(relations)::int AS r, sum(objects)::int AS o FROM pprox.definition'));
    const rows = async (): Promise<number> => (await sql(w1, 'SELECT FROM pprox.definition')).length;
    const client = await sweeping.connect();
    await client.query('CREATE TABLE once (id int); DROP TABLE once');
    await sql(
      w1,
      "INSERT INTO pprox.definition SELECT gen_random_uuid(), g, 1, now() - interval '2 days' FROM generate_series(1, 10) g",
    );
    const [before, all] = [await counts(), await rows()];
    await until('they are gone', async () => (await rows()) === all - 10 + 1);
    assert.equal(await counts(), before);
    await client.query('INSERT INTO kept VALUES (90)');
    await sql(w1, "UPDATE pprox.definition SET changed_at = now() - interval '2 days'");
    await until('all are gone', async () => (await rows()) === 1);
    assert.equal(await counts(), before);
    await client.query('INSERT INTO kept VALUES (91)').catch(retriable);
    await assertWritersEqual(cluster);
    await sweeping.stop();
  });
});

/** Its own changes have become others': once. */
function retriable(error: unknown): void {
  assert.ok(error instanceof pg.DatabaseError && error.code === '40001', String(error));
}

describe('the table of decisions', () => {
  test('loses what is older than its retention, but for what a follower has prepared', async () => {
    // Decisions are kept for as long as a coordinator may wait for them, too.
    const quick = { followerTimeoutMs: 500, commitTimeoutMs: 10 };
    const sweeping = await startTestProxy({
      writers: cluster.writers.map(clusterDsn),
      settings: { ...settings, recoveryGraceMs: 3_600_000, decisionRetentionMs: 300, ...quick },
    });
    const client = await sweeping.connect();
    const id = randomUUID();
    const gid = formatGid({ home, id, follower: 0 });
    await prepare(w2, gid, 80);
    await sql(w1, `INSERT INTO kept VALUES (80); INSERT INTO pprox.decision VALUES ('${id}', true)`);
    const fence = randomUUID();
    await sql(w1, `INSERT INTO pprox.decision VALUES ('${fence}', false)`);
    await client.query('INSERT INTO kept VALUES (81)');
    const held = new pg.Client({ host: w1.host, port: w1.port, user: 'postgres', database: 'postgres' });
    await held.connect();
    after(() => held.end());
    // A transaction that was open when a fence was written, and could still commit under its id.
    await held.query('BEGIN; INSERT INTO kept VALUES (82)');
    const young = randomUUID();
    await sql(w1, `INSERT INTO pprox.decision VALUES ('${young}', false)`);
    const ids = async (): Promise<readonly string[]> =>
      (await sql(w1, 'SELECT id FROM pprox.decision')).map((row) => String(row['id'])).toSorted();
    await until('all others are gone', async () => (await ids()).length === 2);
    assert.deepEqual(await ids(), [id, young].toSorted());
    await held.query('ROLLBACK');
    await sql(w2, `COMMIT PREPARED '${gid}'`);
    await until('they are gone as well', async () => (await ids()).length === 0);
    await assertWritersEqual(cluster);
  });
});
