/** COPY … FROM STDIN reaches every writer, or none, however it ends. */
import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import type { BackendMessage } from '../support/backend-messages.ts';
import { freeze, sql, thaw } from '../support/cluster.ts';
import { cancelRequest, copyData, copyDone, copyFail, query } from '../support/frontend-messages.ts';
import { RawClient } from '../support/raw-client.ts';
import { assertWritersEqual, connectRaw, errorIn, startScene, until } from './scene.ts';

const scene = await startScene({ followerLockTimeoutMs: 300, followerTimeoutMs: 3000 }, { reader: false });
const { cluster, proxy } = scene;
const { w1, w2 } = cluster;

/** A row that makes a batch of its own on the way. */
const LONG = 'x'.repeat(10_000);

beforeEach(async () => {
  const client = await proxy.connect();
  await client.query('DROP TABLE IF EXISTS item; CREATE TABLE item (id int PRIMARY KEY, x text)');
  await client.end();
});

async function begin(client: RawClient, text = 'COPY item FROM STDIN'): Promise<void> {
  const from = client.messages.length;
  client.send(query(text));
  await client.waitFor(['CopyInResponse', 'ErrorResponse'], from);
  assert.equal(client.messages.at(-1)?.type, 'CopyInResponse');
}

async function finish(client: RawClient, ...parts: readonly Buffer[]): Promise<readonly BackendMessage[]> {
  const from = client.messages.length;
  client.send(...parts);
  await client.waitReady(client.readies + 1);
  return client.messages.slice(from);
}

function tagIn(messages: readonly BackendMessage[]): string | undefined {
  for (const message of messages) if (message.type === 'CommandComplete') return message.tag;
  return undefined;
}

async function assertEmpty(): Promise<void> {
  for (const writer of [w1, w2]) assert.deepEqual(await sql(writer, 'SELECT id FROM item'), []);
}

/** Nothing is left running, waiting or open on any writer. */
async function assertAtRest(): Promise<void> {
  const busy = `SELECT state, query FROM pg_stat_activity WHERE datname = 'postgres' AND pid <> pg_backend_pid() AND state <> 'idle'`;
  await until('both writers are at rest', async () => {
    const found = await Promise.all([w1, w2].map((writer) => sql(writer, busy)));
    return found.flat().length === 0;
  });
}

/** The same session copies again, and everything of it arrives. */
async function assertGoesOn(client: RawClient): Promise<void> {
  await begin(client);
  const messages = await finish(client, copyData('1001\ta\n'), copyData('1002\t\\N\n'), copyDone());
  assert.equal(tagIn(messages), 'COPY 2');
  await assertWritersEqual(cluster);
  const [rows] = await sql(w2, 'SELECT count(*)::int AS n FROM item WHERE id > 1000');
  assert.equal(rows?.['n'], 2);
}

test('data arrives on every writer, whatever its pieces are', async () => {
  const client = await connectRaw(scene);
  await begin(client);
  const lines = Array.from({ length: 300 }, (_, id) => `${id}\trow ${id} é\\t\\\\ ${LONG}\n`).join('');
  const bytes = Buffer.from(lines);
  const frames: Buffer[] = [];
  for (let at = 0, size = 1; at < bytes.length; at += size, size = (size * 7) % 9973) {
    frames.push(copyData(bytes.subarray(at, at + size)));
  }
  assert.equal(tagIn(await finish(client, ...frames, copyDone())), 'COPY 300');
  const [rows] = await sql(w2, 'SELECT count(*)::int AS n, sum(length(x))::int AS length FROM item');
  assert.equal(rows?.['n'], 300);
  await assertWritersEqual(cluster);
});

test('binary, CSV and a chosen set of columns are the same on every writer', async () => {
  const client = await connectRaw(scene);
  await begin(client, "COPY item (x, id) FROM STDIN (FORMAT csv, HEADER, DELIMITER ';')");
  assert.equal(tagIn(await finish(client, copyData('x;id\n"a;""b""";1\n;2\n'), copyDone())), 'COPY 2');
  await begin(client, 'COPY item (id) FROM STDIN (FORMAT binary)');
  const header = Buffer.concat([Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1'), Buffer.alloc(8)]);
  const row = Buffer.from([0, 1, 0, 0, 0, 4, 0, 0, 0, 3]);
  assert.equal(
    tagIn(await finish(client, copyData(Buffer.concat([header, row, Buffer.from([255, 255])])), copyDone())),
    'COPY 1',
  );
  await assertWritersEqual(cluster);
  assert.deepEqual(await sql(w2, 'SELECT id FROM item ORDER BY id'), [{ id: 1 }, { id: 2 }, { id: 3 }]);
});

describe('leaves nothing anywhere, and the session goes on, when', () => {
  test('the client gives it up', async () => {
    const client = await connectRaw(scene);
    await begin(client);
    const error = errorIn(await finish(client, copyData('1\ta\n'), copyFail('changed my mind')));
    assert.deepEqual([error['C'], error['M']], ['57014', 'COPY from stdin failed: changed my mind']);
    await assertEmpty();
    await assertGoesOn(client);
  });

  test('the lead refuses the data, in its own words', async () => {
    const client = await connectRaw(scene);
    await begin(client);
    const error = errorIn(await finish(client, copyData('1\ta\n'), copyData('one\tb\n'), copyDone()));
    assert.equal(error['C'], '22P02');
    assert.equal(error['W'], 'COPY item, line 2, column id: "one"');
    assert.equal(error['D'], undefined);
    await assertEmpty();
    await assertGoesOn(client);
  });

  test('the lead refuses it in the middle, with more to come and no end in sight', async () => {
    const client = await connectRaw(scene);
    await sql(w1, 'ALTER TABLE item ADD CONSTRAINT only_here CHECK (id <> 3)');
    await begin(client);
    const rest = copyData(`4\t${LONG}\n`);
    const more = Array.from({ length: 200 }, (_, id) => copyData(`${id + 10}\t${LONG}\n`));
    const messages = await finish(client, copyData(`1\t${LONG}\n3\t${LONG}\n`), ...more, rest.subarray(0, 1000));
    assert.equal(errorIn(messages)['C'], '23514');
    client.send(rest.subarray(1000), copyDone());
    await sql(w1, 'ALTER TABLE item DROP CONSTRAINT only_here');
    await assertEmpty();
    await assertGoesOn(client);
    await assertAtRest();
  });

  test('a follower refuses it at its end', async () => {
    const client = await connectRaw(scene);
    await sql(w2, "INSERT INTO item VALUES (2, 'in the way')");
    await begin(client);
    const error = errorIn(await finish(client, copyData('1\ta\n2\tb\n'), copyDone()));
    assert.equal(error['C'], '23505');
    assert.match(
      error['D'] ?? '',
      new RegExp(
        `^follower 127\\.0\\.0\\.1:${w2.port}.*: ERROR 23505: .*\\(Key \\(id\\)=\\(2\\) already exists\\.\\)$`,
        'm',
      ),
    );
    assert.match(error['D'] ?? '', new RegExp(`^lead 127\\.0\\.0\\.1:${w1.port}.*: rolled back$`, 'm'));
    await sql(w2, 'DELETE FROM item');
    await assertEmpty();
    await assertGoesOn(client);
  });

  test('a follower refuses it in the middle of a message, with more to come', async () => {
    const client = await connectRaw(scene);
    await sql(w2, "INSERT INTO item VALUES (2, 'in the way')");
    for (const round of [1, 2]) {
      await begin(client);
      const more = Array.from({ length: 200 }, (_, id) => copyData(`${id + 10}\t${LONG}\n`));
      const half = copyData(`5000\t${LONG}\n`);
      const error = errorIn(await finish(client, copyData(`2\t${LONG}\n`), ...more, half.subarray(0, 4000)));
      assert.equal(error['C'], '23505', `round ${round}`);
      client.send(half.subarray(4000), copyDone());
    }
    await sql(w2, 'DELETE FROM item');
    await assertEmpty();
    await assertGoesOn(client);
    await assertAtRest();
  });

  test('the lead refuses it behind its answer, which the client gets first', async () => {
    const client = await connectRaw(scene);
    await client.query('CREATE VIEW shown AS SELECT * FROM item');
    for (let round = 0; round < 10; round++) {
      const from = client.messages.length;
      client.send(query('COPY shown FROM STDIN'));
      await client.waitReady(client.readies + 1);
      const types = client.messages.slice(from).map(({ type }) => type);
      assert.deepEqual(types, ['CopyInResponse', 'ErrorResponse', 'ReadyForQuery']);
    }
    await client.query('DROP VIEW shown');
    await assertGoesOn(client);
  });

  test('a follower refuses to begin it', async () => {
    const client = await connectRaw(scene);
    await sql(w2, 'ALTER TABLE item RENAME TO elsewhere');
    const error = errorIn(await client.query('COPY item FROM STDIN'));
    assert.equal(error['C'], '42P01');
    await sql(w2, 'ALTER TABLE elsewhere RENAME TO item');
    await assertGoesOn(client);
  });

  test('it stands in a block, which fails', async () => {
    const client = await connectRaw(scene);
    await client.query('BEGIN');
    await client.query("INSERT INTO item VALUES (50, 'before')");
    await begin(client);
    const messages = await finish(client, copyData('1\ta\n1\tb\n'), copyDone());
    assert.equal(errorIn(messages)['C'], '23505');
    assert.deepEqual(messages.at(-1), { type: 'ReadyForQuery', status: 'E' });
    assert.equal(tagIn(await client.query('COMMIT')), 'ROLLBACK');
    await assertEmpty();
    await assertGoesOn(client);
  });
});

test('in a block it is kept or dropped with the block', async () => {
  const client = await connectRaw(scene);
  await client.query('BEGIN');
  await begin(client);
  await finish(client, copyData('1\ta\n'), copyDone());
  await client.query('SAVEPOINT s');
  await begin(client);
  await finish(client, copyData('2\tb\n'), copyDone());
  await client.query('ROLLBACK TO s');
  await client.query('COMMIT');
  for (const writer of [w1, w2]) assert.deepEqual(await sql(writer, 'SELECT id FROM item'), [{ id: 1 }]);
});

const vanishing: Readonly<Record<string, readonly Buffer[]>> = {
  'between two messages': [copyData('1\ta\n')],
  'in the middle of a message': [copyData('1\ta\n'), copyData(`2\t${LONG}\n`).subarray(0, 3000)],
  'in the middle of a message of a gigabyte': [copyData('1\ta\n'), Buffer.from([0x64, 0x3f, 0, 0, 0, 0x31])],
  'in the middle of the header of a message': [copyData('1\ta\n'), Buffer.from('d\0')],
  'before the first': [],
};
for (const [where, parts] of Object.entries(vanishing)) {
  test(`a client that vanishes ${where} leaves nothing, and no lock`, async () => {
    const client = await connectRaw(scene);
    await begin(client);
    client.send(...parts);
    const arrived = `SELECT FROM pg_stat_progress_copy`;
    await until('the COPY runs on both', async () => {
      const running = await Promise.all([w1, w2].map((writer) => sql(writer, arrived)));
      return running.every((rows) => rows.length === 1);
    });
    client.destroy();
    await assertAtRest();
    await assertEmpty();
    await sql(w1, 'BEGIN; LOCK TABLE item IN ACCESS EXCLUSIVE MODE NOWAIT; ROLLBACK');
    await sql(w2, 'BEGIN; LOCK TABLE item IN ACCESS EXCLUSIVE MODE NOWAIT; ROLLBACK');
  });
}

for (const when of ['before it begins', 'in the middle'] as const) {
  test(`a follower that hangs ${when} is given up, and nothing is left`, async () => {
    const client = await connectRaw(scene);
    await client.query("INSERT INTO item VALUES (1, 'x')"); // the connections stand
    if (when === 'before it begins') {
      freeze(w2);
      const error = errorIn(await client.query('COPY item FROM STDIN'));
      assert.equal(error['C'], '08006', error['M']);
      assert.ok(error['M']?.includes(String(w2.port)), error['M']);
    } else {
      await begin(client);
      freeze(w2);
      const more = Array.from({ length: 2000 }, (_, id) => copyData(`${id + 10}\t${LONG}\n`));
      const error = errorIn(await finish(client, ...more, copyDone()));
      assert.equal(error['C'], '08006', error['M']);
      assert.ok(error['M']?.includes(String(w2.port)), error['M']);
    }
    thaw(w2);
    await assertAtRest();
    for (const writer of [w1, w2]) assert.deepEqual(await sql(writer, 'SELECT id FROM item'), [{ id: 1 }]);
    await until('copies work again', async () => {
      const [tag] = (await client.query('UPDATE item SET x = x')).flatMap((m) =>
        m.type === 'CommandComplete' ? [m.tag] : [],
      );
      return tag === 'UPDATE 1';
    });
    await assertGoesOn(client);
  });
}

test('a cancel request ends it', async () => {
  const client = await connectRaw(scene);
  const key = client.messages.find((message) => message.type === 'BackendKeyData');
  assert.ok(key?.type === 'BackendKeyData');
  await begin(client);
  client.send(copyData('1\ta\n'));
  const other = await RawClient.open(proxy);
  other.send(cancelRequest(key.pid, key.secret));
  await other.waitClosed();
  // A server looks for cancels when the next data comes.
  const from = client.messages.length;
  let id = 10;
  await until('the COPY has failed', () => {
    client.send(copyData(`${id++}\t${LONG}\n`));
    return client.messages.length > from;
  });
  await client.waitFor(['ReadyForQuery'], from);
  assert.equal(errorIn(client.messages.slice(from))['C'], '57014');
  client.send(copyDone());
  await assertEmpty();
  await assertGoesOn(client);
});

test('COPY to the client comes from one server, whole', async () => {
  const client = await connectRaw(scene);
  await client.query(`INSERT INTO item SELECT g, repeat('y', 1000) FROM generate_series(1, 5000) g`);
  const messages = await client.query('COPY item TO STDOUT');
  assert.equal(messages.filter(({ type }) => type === 'CopyData').length, 5000);
  assert.equal(tagIn(messages), 'COPY 5000');
});

describe('what each server would make another value of', () => {
  test('by its own clock is found, and nothing of it stays', async () => {
    const client = await connectRaw(scene);
    await client.query('DROP TABLE IF EXISTS dated; CREATE TABLE dated (id int PRIMARY KEY, at timestamptz, x text)');
    await begin(client, 'COPY dated (id, at) FROM STDIN');
    assert.equal(tagIn(await finish(client, copyData('1\t2026-01-01\n'), copyDone())), 'COPY 1');
    for (const word of ['now', 'NOW', String.raw`n\157w`]) {
      await begin(client, 'COPY dated (id, at) FROM STDIN');
      const error = errorIn(await finish(client, copyData(`2\t${word}\n`), copyDone()));
      assert.equal(error['C'], '40002', word);
    }
    // As a text it is the same word everywhere.
    await begin(client, 'COPY dated (id, at, x) FROM STDIN');
    assert.equal(tagIn(await finish(client, copyData('3\t2026-01-01\tnow\n'), copyDone())), 'COPY 1');
    await assertWritersEqual(cluster);
    assert.deepEqual(await sql(w2, 'SELECT id FROM dated ORDER BY id'), [{ id: 1 }, { id: 3 }]);
  });

  test('by a trigger is the lead’s, or found', async () => {
    const client = await connectRaw(scene);
    await client.query(`DROP TABLE IF EXISTS fired, log; CREATE TABLE fired (id int PRIMARY KEY, n int); CREATE TABLE log (id int, port int);
      CREATE OR REPLACE FUNCTION fire() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO log VALUES (NEW.id); NEW.n := 7; RETURN NEW; END';
      CREATE TRIGGER fire BEFORE INSERT ON fired FOR EACH ROW EXECUTE FUNCTION fire()`);
    await begin(client, 'COPY fired FROM STDIN');
    assert.equal(tagIn(await finish(client, copyData('1\t1\n'), copyDone())), 'COPY 1');
    await client.query(
      `CREATE OR REPLACE FUNCTION fire() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO log VALUES (NEW.id, inet_server_port()); RETURN NEW; END'`,
    );
    await begin(client, 'COPY fired FROM STDIN');
    assert.equal(tagIn(await finish(client, copyData('2\t2\n'), copyDone())), 'COPY 1');
    await assertWritersEqual(cluster);
    assert.deepEqual(await sql(w2, 'SELECT port FROM log WHERE id = 2'), [{ port: w1.port }]);
    // Who may not turn triggers off there.
    for (const writer of [w1, w2]) await sql(writer, 'CREATE ROLE copying IN ROLE pg_read_all_data, pg_write_all_data');
    await client.query('SET ROLE copying');
    await begin(client, 'COPY fired FROM STDIN');
    assert.equal(errorIn(await finish(client, copyData('3\t3\n'), copyDone()))['C'], '40002');
    await client.query('RESET ROLE');
    await assertWritersEqual(cluster);
    assert.deepEqual(await sql(w2, 'SELECT id, n FROM fired ORDER BY id'), [
      { id: 1, n: 7 },
      { id: 2, n: 2 },
    ]);
  });
});
