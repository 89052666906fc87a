/** EXECUTE where something breaks: clients that vanish, cancel requests, timeouts, servers that end sessions, few connections. */
import assert from 'node:assert/strict';
import { afterEach, describe, test } from 'node:test';
import pg from 'pg';
import type { Server } from '../../src/embedded/server.ts';
import type { BackendMessage } from '../support/backend-messages.ts';
import { sql, withConnection } from '../support/cluster.ts';
import { bind, cancelRequest, execute, parse, query, sync } from '../support/frontend-messages.ts';
import { RawClient } from '../support/raw-client.ts';
import { assertWritersEqual, connectRaw, errorIn, refusal, startScene, until } from './scene.ts';

/** One connection to each server: whatever one client leaves there, the next one stands before. */
const scene = await startScene({
  poolSize: 1,
  healthIntervalMs: 100,
  followerLockTimeoutMs: 60_000,
  followerTimeoutMs: 120_000,
});
const { cluster, proxy } = scene;
const { w1, w2, replica } = cluster;

const setup = await proxy.connect();
await setup.query(`CREATE TABLE item (id int PRIMARY KEY, n int, word text); INSERT INTO item VALUES (1, 0, '');
  CREATE FUNCTION looked() RETURNS int STABLE LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT n FROM item WHERE id = 1); END'`);

/** Whatever a test has left: every server runs, and lets clients in. */
afterEach(async () => {
  for (const server of [w1, w2, replica]) if (server.pid === undefined) await server.start();
  await until('the proxy serves', async () => {
    const client = await proxy.connect().catch(() => undefined);
    const done = client?.query('UPDATE item SET n = 0 WHERE id = 1');
    const served = await done?.then(
      () => true,
      () => false,
    );
    await client?.end();
    return served === true;
  });
});

async function cancel(client: RawClient): Promise<void> {
  const key = client.messages.find((message) => message.type === 'BackendKeyData');
  assert.ok(key?.type === 'BackendKeyData');
  const request = await RawClient.open(proxy);
  request.send(cancelRequest(key.pid, key.secret));
  await request.waitClosed();
}

let marks = 0;

function newMark(): string {
  return `marked ${++marks} so`;
}

/** Until a statement with that mark is run there; for a moment it may be parsed alone, and is not yet where it waits. */
async function runs(server: Server, mark: string, waits: 'Timeout' | 'Lock' = 'Timeout'): Promise<number> {
  let pid = 0;
  await until(`${server.name} runs it`, async () => {
    const [row] = await sql(
      server,
      `SELECT pid FROM pg_stat_activity
       WHERE query LIKE '%${mark}%' AND state = 'active' AND wait_event_type = '${waits}' AND pid <> pg_backend_pid()`,
    );
    pid = Number(row?.['pid'] ?? 0);
    return pid > 0;
  });
  return pid;
}

async function atRest(): Promise<void> {
  await until('every server is at rest', async () => {
    const busy = await Promise.all(
      [w1, w2, replica].map((server) =>
        sql(
          server,
          `SELECT FROM pg_stat_activity WHERE backend_type = 'client backend' AND datname = 'postgres'
           AND state <> 'idle' AND pid <> pg_backend_pid()`,
        ),
      ),
    );
    return busy.flat().length === 0;
  });
  for (const writer of [w1, w2]) {
    await sql(writer, 'BEGIN; LOCK TABLE item IN ACCESS EXCLUSIVE MODE NOWAIT; COMMIT');
    assert.deepEqual(await sql(writer, 'SELECT gid FROM pg_prepared_xacts'), []);
  }
}

/** Nothing of a session before is found by the next one, which has the same connections. */
async function assertNextIsFresh(): Promise<void> {
  await atRest();
  const next = await proxy.connect();
  const { rows } = await next.query(
    `/* pprox: lead */ SELECT current_setting('my.own', true) AS own, current_setting('work_mem') AS work_mem,
     (SELECT count(*)::int FROM pg_prepared_statements) AS prepared, current_setting('extra_float_digits') AS digits`,
  );
  assert.deepEqual(rows, [{ own: null, work_mem: '4MB', prepared: 0, digits: '1' }]);
  for (const text of ['EXECUTE q (1)', 'EXECUTE a (1)', 'EXPLAIN EXECUTE q (1)', 'DEALLOCATE q'])
    assert.equal((await refusal(next.query(text))).code, '26000', text);
  await next.query('PREPARE q (int) AS UPDATE item SET n = $1 WHERE id = 1');
  await next.query('EXECUTE q (7)');
  await next.end();
  await assertWritersEqual(cluster);
}

/** `text` as a Query, or as an unnamed statement that is parsed, bound and executed. */
const byMessage: Readonly<Record<string, (text: string) => Buffer>> = {
  'the simple protocol': (text) => query(text),
  'the extended protocol': (text) => Buffer.concat([parse('', text), bind('', ''), execute(''), sync()]),
};

async function prepared(): Promise<RawClient> {
  const client = await connectRaw(scene);
  for (const text of [
    "SET work_mem = '5MB'",
    "SET my.own = 'hers'",
    'PREPARE q (int) AS UPDATE item SET n = $1 WHERE id = 1',
    'PREPARE r (int) AS SELECT $1',
    'PREPARE s (float8) AS SELECT pg_sleep($1)',
    'PREPARE u (float8) AS UPDATE item SET n = 1 FROM pg_sleep($1) WHERE id = 1',
  ])
    assert.ok((await client.query(text)).every(({ type }) => type !== 'ErrorResponse'));
  return client;
}

/** Subqueries are not possible there. */
const SLEEPING = 'length(pg_sleep(60)::text)';
/** A server session goes on to the end of its statement, as PostgreSQL’s does. */
const DOZING = 'length(pg_sleep(0.5)::text)';
const LOCKING = 'looked()';

describe('a client that vanishes while the arguments of its EXECUTE are computed leaves nothing', () => {
  for (const [protocol, message] of Object.entries(byMessage)) {
    for (const place of ['outside a block', 'inside a block'] as const) {
      for (const name of ['q', 'r']) {
        for (const waits of ['Timeout', 'Lock'] as const) {
          test(`of ${name === 'q' ? 'a write' : 'a read'} by ${protocol}, ${place}, in a wait for ${waits === 'Lock' ? 'a lock' : 'time'}`, async () => {
            const client = await prepared();
            if (place === 'inside a block') await client.query('BEGIN');
            const mark = newMark();
            await withConnection(w1, undefined, async (direct) => {
              if (waits === 'Lock') await direct.query('BEGIN; LOCK TABLE item');
              client.send(message(`EXECUTE ${name} (${waits === 'Lock' ? LOCKING : DOZING} /* ${mark} */)`));
              await runs(w1, mark, waits);
              client.destroy();
              await direct.query('ROLLBACK');
            });
            await assertNextIsFresh();
          });
        }
      }
    }
  }
});

const CANCELED = { C: '57014', M: 'canceling statement due to user request' };

function assertError(
  messages: readonly BackendMessage[],
  wanted: Readonly<Record<string, string>>,
  status: string,
): void {
  const { C = '', M = '' } = errorIn(messages);
  assert.deepEqual({ C, M }, wanted);
  assert.deepEqual(messages.at(-1), { type: 'ReadyForQuery', status });
}

describe('a cancel request', () => {
  for (const [protocol, message] of Object.entries(byMessage)) {
    for (const [what, text] of Object.entries({
      'the arguments of a write': `EXECUTE q (${SLEEPING} /* MARK */)`,
      'the arguments of a read': `EXECUTE r (${SLEEPING} /* MARK */)`,
    })) {
      for (const place of ['outside a block', 'inside a block'] as const) {
        test(`ends ${what} by ${protocol}, ${place}, once, and nothing after it`, async () => {
          const client = await prepared();
          if (place === 'inside a block') await client.query('BEGIN');
          const mark = newMark();
          const from = client.messages.length;
          const ready = client.readies + 1;
          client.send(message(text.replace('MARK', mark)));
          await runs(w1, mark);
          await cancel(client);
          await client.waitReady(ready);
          assertError(client.messages.slice(from), CANCELED, place === 'inside a block' ? 'E' : 'I');
          await client.query('ROLLBACK');
          assert.ok((await client.query('EXECUTE q (3)')).some(({ type }) => type === 'CommandComplete'));
          client.destroy();
          await assertNextIsFresh();
        });
      }
    }
  }

  test('ends the statement itself on the lead', async () => {
    const client = await prepared();
    const from = client.messages.length;
    const ready = client.readies + 1;
    client.send(query('EXECUTE u (60)'));
    await runs(w1, 'UPDATE item SET n = 1 FROM pg_sleep');
    await cancel(client);
    await client.waitReady(ready);
    assertError(client.messages.slice(from), CANCELED, 'I');
    client.destroy();
    await assertNextIsFresh();
  });

  test('ends the statement itself on a follower', async () => {
    const client = await prepared();
    const from = client.messages.length;
    const ready = client.readies + 1;
    await withConnection(w2, undefined, async (direct) => {
      await direct.query('BEGIN; UPDATE item SET n = 9 WHERE id = 1');
      client.send(query('EXECUTE q (1)'));
      await runs(w2, 'UPDATE item SET n = ', 'Lock');
      await cancel(client);
      await client.waitReady(ready);
      assertError(client.messages.slice(from), CANCELED, 'I');
      await direct.query('ROLLBACK');
    });
    client.destroy();
    await assertNextIsFresh();
  });

  test('that comes late hits nobody', async () => {
    const [one, other] = [await prepared(), await prepared()];
    const seen = new Set<string>();
    for (let round = 0; round < 30; round++) {
      const from = one.messages.length;
      const ready = one.readies + 1;
      one.send(query(`EXECUTE ${round % 2 === 0 ? 'q' : 'r'} (${round} + length(pg_sleep(0.00${round % 4})::text))`));
      const asked = cancel(one);
      const next = other.query(`EXECUTE q (${round} + length(pg_sleep(0.002)::text))`);
      await Promise.all([asked, one.waitReady(ready)]);
      const answer = one.messages.slice(from);
      if (answer.some(({ type }) => type === 'ErrorResponse')) assertError(answer, CANCELED, 'I');
      else seen.add('done');
      assert.ok((await next).every(({ type }) => type !== 'ErrorResponse'));
      assert.ok((await one.query('EXECUTE r (5)')).every(({ type }) => type !== 'ErrorResponse'));
    }
    one.destroy();
    other.destroy();
    await assertNextIsFresh();
  });
});

describe('statement_timeout ends as on one server', () => {
  for (const [what, text] of Object.entries({
    'the arguments of a write': `EXECUTE q (${SLEEPING})`,
    'the arguments of a read': `EXECUTE r (${SLEEPING})`,
    'a read that is executed': 'EXECUTE s (60)',
    'a write that is executed': 'EXECUTE u (60)',
  })) {
    test(what, async () => {
      const client = await prepared();
      for (const place of ['outside a block', 'inside a block'] as const) {
        await client.query("SET statement_timeout = '100ms'");
        if (place === 'inside a block') await client.query('BEGIN');
        const timeout = { C: '57014', M: 'canceling statement due to statement timeout' };
        assertError(await client.query(text), timeout, place === 'inside a block' ? 'E' : 'I');
        await client.query('ROLLBACK; RESET statement_timeout');
        assert.ok((await client.query('EXECUTE q (4)')).every(({ type }) => type !== 'ErrorResponse'));
      }
      client.destroy();
      await assertNextIsFresh();
    });
  }
});

/** A superuser ends that session; or the whole server ends as in a crash. */
const endings: Readonly<Record<string, (server: Server, pid: number) => Promise<unknown>>> = {
  'its session is terminated': (server, pid) => sql(server, `SELECT pg_terminate_backend(${pid})`),
  'it crashes': (server) => server.stop('immediate'),
};

describe('when a server goes away', () => {
  for (const [how, end] of Object.entries(endings)) {
    for (const place of ['outside a block', 'inside a block'] as const) {
      for (const name of ['q', 'r', 'u']) {
        test(`${how}: EXECUTE ${name} ${place} says so, and the session goes on`, async () => {
          const client = await prepared();
          if (place === 'inside a block') await client.query('BEGIN; EXECUTE q (8)');
          const from = client.messages.length;
          const ready = client.readies + 1;
          const mark = newMark();
          client.send(query(name === 'u' ? 'EXECUTE u (60)' : `EXECUTE ${name} (${SLEEPING} /* ${mark} */)`));
          await end(w1, await runs(w1, name === 'u' ? 'UPDATE item SET n = 1 FROM pg_sleep' : mark));
          await client.waitReady(ready);
          const answer = client.messages.slice(from);
          assert.match(errorIn(answer)['C'] ?? '', /^(08|57P)/);
          assert.deepEqual(answer.at(-1), { type: 'ReadyForQuery', status: place === 'inside a block' ? 'E' : 'I' });
          await client.query('ROLLBACK');
          if (w1.pid === undefined) await w1.start();
          await until('it executes again', async () =>
            (await client.query('EXECUTE q (5)')).some(({ type }) => type === 'CommandComplete'),
          );
          client.destroy();
          await assertNextIsFresh();
        });
      }
    }

    test(`${how}: a follower, while it waits to execute, takes the write with it on every writer`, async () => {
      const client = await prepared();
      const from = client.messages.length;
      const ready = client.readies + 1;
      const direct = new pg.Client({ connectionString: w2.dsn() });
      direct.on('error', () => undefined);
      await direct.connect();
      await direct.query('BEGIN; UPDATE item SET n = 9 WHERE id = 1');
      client.send(query(`EXECUTE q (40 + 1)`));
      await end(w2, await runs(w2, 'UPDATE item SET n = ', 'Lock'));
      await client.waitReady(ready);
      assert.match(errorIn(client.messages.slice(from))['C'] ?? '', /^(08|40|57P)/);
      await direct.end().catch(() => undefined);
      if (w2.pid === undefined) await w2.start();
      assert.deepEqual(await sql(w1, 'SELECT FROM item WHERE n = 41'), []);
      await until('it executes again', async () =>
        (await client.query('EXECUTE q (5)')).some(({ type }) => type === 'CommandComplete'),
      );
      client.destroy();
      await assertNextIsFresh();
    });

    test(`${how}: the reader, while it executes, is named or replaced by the lead`, async () => {
      const client = await prepared();
      await until('the reader serves it', async () => {
        const from = client.messages.length;
        const ready = client.readies + 1;
        client.send(query('EXECUTE s (1)'));
        let pid = 0;
        await until('it runs or is done', async () => {
          const [row] = await sql(
            replica,
            "SELECT pid FROM pg_stat_activity WHERE query LIKE '%SELECT pg_sleep($1)%' AND state = 'active' AND wait_event = 'PgSleep'",
          );
          pid = Number(row?.['pid'] ?? 0);
          return pid > 0 || client.readies >= ready;
        });
        if (pid > 0) await end(replica, pid);
        await client.waitReady(ready);
        const answer = client.messages.slice(from);
        if (answer.some(({ type }) => type === 'ErrorResponse')) assert.match(errorIn(answer)['C'] ?? '', /^(08|57P)/);
        else assert.ok(answer.some(({ type }) => type === 'CommandComplete'));
        return pid > 0;
      });
      assert.ok((await client.query('EXECUTE r (5)')).some(({ type }) => type === 'DataRow'));
      client.destroy();
      if (replica.pid === undefined) await replica.start();
      await assertNextIsFresh();
    });
  }

  test('between two EXECUTEs, the statement is prepared on the new session', async () => {
    const client = await prepared();
    assert.ok((await client.query('EXECUTE q (5)')).some(({ type }) => type === 'CommandComplete'));
    for (const server of [w1, w2, replica])
      await sql(
        server,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()",
      );
    await until('it executes again', async () =>
      (await client.query('EXECUTE q (5 + 1)')).some(({ type }) => type === 'CommandComplete'),
    );
    assert.ok((await client.query('EXECUTE r (5)')).some(({ type }) => type === 'DataRow'));
    client.destroy();
    await assertNextIsFresh();
  });
});

test('eight clients with one connection to each server all finish, and the writers are equal', async () => {
  await setup.query('CREATE TABLE tally (client int, round int, word text, PRIMARY KEY (client, round))');
  const rounds = 8;
  await Promise.all(
    Array.from({ length: 8 }, async (_, number) => {
      const client = await prepared();
      await client.query('PREPARE put (int, int, text) AS INSERT INTO tally VALUES ($1, $2, $3)');
      await client.query('PREPARE mine (int) AS SELECT count(*) FROM tally WHERE client = $1');
      for (let round = 0; round < rounds; round++) {
        const put = `EXECUTE put (${number}, ${round}, random()::text)`;
        const read = `EXECUTE mine (${number} + length(''))`;
        const asked = client.messages.length;
        const ready = client.readies;
        const step = (text: string): Buffer => Buffer.concat([parse('', text), bind('', ''), execute('')]);
        switch ((number + round) % 4) {
          case 0:
            client.send(query(put), query(read));
            await client.waitReady(ready + 2);
            break;
          case 1:
            client.send(query('BEGIN'), query(read), query(put), query('COMMIT'));
            await client.waitReady(ready + 4);
            break;
          case 2:
            client.send(step(read), step(put), step(read), sync());
            await client.waitReady(ready + 1);
            break;
          default:
            client.send(query(`${read}; ${put}; ${read}`), step(read), sync());
            await client.waitReady(ready + 2);
        }
        const errors = client.messages.slice(asked).filter(({ type }) => type === 'ErrorResponse');
        assert.deepEqual(errors, []);
      }
      client.destroy();
    }),
  );
  await assertNextIsFresh();
  assert.deepEqual(await sql(w2, 'SELECT count(*)::int AS n FROM tally'), [{ n: 8 * rounds }]);
});
