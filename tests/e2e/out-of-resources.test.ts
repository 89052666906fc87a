/** A writer without room on its disk, and a proxy without file descriptors: told, undone, and over when there is room. */
import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { renameSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import pg from 'pg';
import type { Server } from '../../src/embedded/server.ts';
import { sql } from '../support/cluster.ts';
import { copyData, copyDone, query } from '../support/frontend-messages.ts';
import { clusterDsn } from '../support/proxy.ts';
import { assertWritersEqual, connectRaw, errorIn, refusal, startScene, until, value } from './scene.ts';

const scene = await startScene({ poolSize: 4 }, { reader: false });
const { cluster, proxy } = scene;
const { w1, w2 } = cluster;
const HANGS = { timeout: 60_000 };

describe('a disk that is full', () => {
  let tables = 0;

  /** A new table on both writers, whose file on `server` takes nothing (ENOSPC). A TRUNCATE gives it another. */
  async function fullTable(server: Server): Promise<string> {
    const table = `full_${++tables}`;
    for (const writer of [w1, w2]) await sql(writer, `CREATE TABLE ${table} (id int, filler text)`);
    const [row] = await sql(server, `SELECT pg_relation_filepath('${table}') AS path`);
    const path = join(server.dataDirectory, String(row?.['path']));
    renameSync(path, `${path}.kept`);
    symlinkSync('/dev/full', path);
    return table;
  }

  for (const [role, server] of [
    ['lead', w1],
    ['follower', w2],
  ] as const) {
    for (const [what, texts] of [
      ['a statement', (table: string) => [`INSERT INTO ${table} VALUES (1, 'x')`]],
      ['rows of a query', (table: string) => [`INSERT INTO ${table} SELECT id FROM generate_series(1, 9) id`]],
      ['a block', (table: string) => ['BEGIN', `INSERT INTO ${table} VALUES (1, 'x')`, 'COMMIT']],
    ] as const) {
      test(`of the ${role} fails ${what} everywhere, and the client goes on`, HANGS, async () => {
        const table = await fullTable(server);
        const client = await proxy.connect();
        const run = async (): Promise<void> => {
          for (const text of texts(table)) await client.query(text);
        };
        const error = await refusal(run());
        assert.equal(error.code, '53100', error.message);
        assert.match(error.message, /could not extend file/);
        if (role === 'follower') assert.match(error.detail ?? '', new RegExp(`follower 127\\.0\\.0\\.1:${w2.port}`));
        await client.query('ROLLBACK');
        assert.equal(await value(client, `SELECT count(*)::int FROM ${table}`), 0);
        for (const writer of [w1, w2]) assert.deepEqual(await sql(writer, 'SELECT FROM pg_prepared_xacts'), []);
        await client.query(`TRUNCATE ${table}`);
        await run();
        await assertWritersEqual(cluster);
        await client.end();
      });
    }

    test(`of the ${role} breaks a COPY off everywhere, and the client goes on`, HANGS, async () => {
      const table = await fullTable(server);
      const client = await connectRaw(scene);
      client.send(query(`COPY ${table} FROM STDIN`), copyData('1\tx\n'), copyDone());
      await client.waitReady(2);
      assert.equal(errorIn(client.messages)['C'], '53100');
      for (const writer of [w1, w2]) assert.deepEqual(await sql(writer, `SELECT FROM ${table}`), []);
      const from = client.messages.length;
      client.send(query(`TRUNCATE ${table}; COPY ${table} FROM STDIN`), copyData('1\tx\n'), copyDone());
      await client.waitReady(3);
      assert.deepEqual(
        client.messages.slice(from).filter(({ type }) => type === 'ErrorResponse'),
        [],
      );
      await assertWritersEqual(cluster);
    });
  }
});

describe('a proxy without file descriptors', () => {
  /** More than Node takes to start with. */
  const DESCRIPTORS = 150;

  interface Limited {
    readonly child: ChildProcess;
    log(): readonly Readonly<Record<string, unknown>>[];
    connect(): Promise<pg.Client>;
    tell(what: 'fill' | 'empty'): Promise<void>;
  }

  async function startLimited(): Promise<Limited> {
    const child = fork(join(import.meta.dirname, '..', 'support', 'crowded-proxy-process.js'), {
      execPath: '/bin/sh',
      execArgv: ['-c', `ulimit -n ${DESCRIPTORS}; exec "${process.execPath}" "$0"`],
      env: {
        PATH: process.env['PATH'],
        PG_WRITERS_CSV: cluster.writers.map(clusterDsn).join(','),
        PPROX_HEALTH_INTERVAL: '50ms',
        PPROX_CONNECT_TIMEOUT: '1s',
      },
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    after(() => child.kill('SIGKILL'));
    let text = '';
    child.stderr?.setEncoding('utf8').on('data', (part: string) => {
      text += part;
    });
    const ended = once(child, 'close').then((status) => assert.fail(`it ended: ${String(status)}: ${text}`));
    ended.catch(() => undefined); // told by who waits for a message
    const answer = async (): Promise<unknown> => (await Promise.race([once(child, 'message'), ended]))[0];
    const port = Number(await answer());
    return {
      child,
      log: () =>
        text
          .split('\n')
          .slice(0, -1)
          .map((line) => JSON.parse(line) as Record<string, unknown>),
      tell: async (what) => {
        const done = answer();
        child.send(what);
        await done;
      },
      connect: async () => {
        const client = new pg.Client({ host: '127.0.0.1', port, user: 'postgres', database: 'postgres' });
        client.on('error', () => undefined); // told by the query in flight
        await client.connect();
        after(() => client.end());
        return client;
      },
    };
  }

  test('serves who has connections, and everybody when there is room; no server is taken for lost', HANGS, async () => {
    const limited = await startLimited();
    const [first, second] = [await limited.connect(), await limited.connect()];
    await first.query('CREATE TABLE kept (id int PRIMARY KEY)');
    await first.query('BEGIN');
    await first.query('INSERT INTO kept VALUES (1)');
    const slow = first.query('SELECT pg_sleep(3)');
    await limited.tell('fill');
    await assert.rejects(limited.connect(), 'a client more is not let in');
    for (const text of ['INSERT INTO kept VALUES (2)', 'BEGIN; INSERT INTO kept VALUES (2)', 'SELECT 1']) {
      const error = await refusal(second.query(text));
      assert.equal(error.code, '53000', error.message);
      assert.match(error.message, /the proxy cannot open a connection to lead 127\.0\.0\.1:\d+: connect EMFILE/);
      assert.match(error.hint ?? '', /ulimit -n/);
      await second.query('ROLLBACK');
    }
    // Longer than a server may be silent before it is asked whether it is there, which it cannot be now.
    await slow;
    assert.equal((await first.query('COMMIT')).command, 'COMMIT');
    await second.query('INSERT INTO kept VALUES (3)');
    await limited.tell('empty');
    const third = await limited.connect();
    await first.query('BEGIN; INSERT INTO kept VALUES (4)');
    await second.query('INSERT INTO kept VALUES (5)');
    await third.query('INSERT INTO kept VALUES (6)');
    await first.query('COMMIT');
    const rows = await sql(w1, 'SELECT id FROM kept ORDER BY id');
    assert.deepEqual(
      rows.map(({ id }) => id),
      [1, 3, 4, 5, 6],
    );
    await assertWritersEqual(cluster);
    const events = limited.log().map(({ msg }) => msg);
    assert.ok(!events.includes('server down') && !events.includes('server does not answer'), events.join());
    const lacks = limited.log().filter(({ msg }) => msg === 'no connection can be opened');
    const servers = new Set(lacks.map(({ reason }) => /(lead|follower) [\d.:]+/.exec(String(reason))?.[0]));
    assert.ok(lacks.length > 0 && lacks.length === servers.size, 'told once for a server');
    assert.equal(limited.child.exitCode, null);
  });

  test('refuses clients in words before that, and keeps room for the others’ connections', HANGS, async () => {
    const limited = await startLimited();
    assert.match(JSON.stringify(limited.log()), /limit of open files/);
    const clients: pg.Client[] = [];
    let error: pg.DatabaseError | undefined;
    while (error === undefined) {
      assert.ok(clients.length < DESCRIPTORS, 'there is an end to it');
      try {
        clients.push(await limited.connect());
      } catch (refused) {
        assert.ok(refused instanceof pg.DatabaseError, String(refused));
        error = refused;
      }
    }
    assert.deepEqual([error.severity, error.code], ['FATAL', '53300']);
    assert.match(
      error.detail ?? '',
      new RegExp(`^The proxy may have ${DESCRIPTORS} files open, and has \\d+ connections.$`),
    );
    // Each with connections of its own to both writers, for as many as there is room kept for.
    for (const client of clients.slice(0, 5)) await client.query('BEGIN; CREATE TEMP TABLE t (); SELECT 1');
    for (const client of clients.slice(0, 5)) await client.query('ROLLBACK');
    for (const client of clients) await client.end();
    let last: pg.Client | undefined;
    await until('there is room', async () => {
      last = await limited.connect().catch(() => undefined);
      return last !== undefined;
    });
    await last?.query('SELECT 1');
    assert.equal(limited.child.exitCode, null);
  });
});
