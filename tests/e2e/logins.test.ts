/** How the proxy logs in to servers that ask for a password, and what a client hears where it cannot. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { sql, startTestCluster } from '../support/cluster.ts';
import { startTestProxy } from '../support/proxy.ts';
import { refusal, until, value } from './scene.ts';

const cluster = await startTestCluster({
  reader: false,
  hba: [
    'host all by_scram 127.0.0.1/32 scram-sha-256',
    'host all by_md5 127.0.0.1/32 md5',
    'host all by_password 127.0.0.1/32 password',
    'host all nobody 127.0.0.1/32 reject',
  ],
});
const { w1, w2 } = cluster;

/** With what SASLprep changes: a soft hyphen, a space that is none, a fraction, a letter of two characters. */
const PASSWORD = "s3\u00adcret 'ä\\€ \u00a0½A\u030a";
for (const writer of [w1, w2]) {
  const literal = `'${PASSWORD.replaceAll("'", "''")}'`;
  await sql(
    writer,
    `CREATE ROLE by_scram LOGIN SUPERUSER PASSWORD ${literal}; CREATE ROLE by_password LOGIN PASSWORD ${literal}`,
  );
  await sql(writer, `SET password_encryption = md5; CREATE ROLE by_md5 LOGIN SUPERUSER PASSWORD ${literal}`);
  await sql(writer, 'CREATE ROLE nobody LOGIN; CREATE ROLE plain LOGIN');
}

function dsn(server: { port: number }, user: string, password?: string): string {
  const secret = password === undefined ? '' : `:${encodeURIComponent(password)}`;
  return `postgresql://${user}${secret}@127.0.0.1:${server.port}`;
}

describe('a DSN with the right password logs in', () => {
  for (const user of ['by_scram', 'by_md5', 'by_password']) {
    test(user, async () => {
      const proxy = await startTestProxy({ writers: [dsn(w1, user, PASSWORD), dsn(w2, user, PASSWORD)] });
      const client = await proxy.connect({ user: 'whoever' });
      assert.equal(await value(client, 'SELECT current_user'), user);
      if (user !== 'by_password') {
        await client.query(`CREATE TABLE of_${user} (id int)`);
        assert.deepEqual(await sql(w2, `SELECT tableowner FROM pg_tables WHERE tablename = 'of_${user}'`), [
          { tableowner: user },
        ]);
      }
    });
  }
});

describe('a login that fails', () => {
  const refused: Readonly<Record<string, { dsn: string; code: string; message: RegExp }>> = {
    'for a wrong SCRAM password': {
      dsn: dsn(w1, 'by_scram', 'wrong'),
      code: '28P01',
      message: /^password authentication failed for user "by_scram"$/,
    },
    'for a wrong md5 password': {
      dsn: dsn(w1, 'by_md5', 'wrong'),
      code: '28P01',
      message: /^password authentication failed/,
    },
    'for a wrong cleartext password': {
      dsn: dsn(w1, 'by_password', 'wrong'),
      code: '28P01',
      message: /^password authentication failed/,
    },
    'for a role that pg_hba.conf rejects': {
      dsn: dsn(w1, 'nobody'),
      code: '28000',
      message: /^pg_hba\.conf rejects connection/,
    },
    'for a role that does not exist': {
      dsn: dsn(w1, 'missing'),
      code: '28000',
      message: /^role "missing" does not exist$/,
    },
    'for want of a password': {
      dsn: dsn(w1, 'by_scram'),
      code: '08001',
      message: /the server asks for a password and the DSN has none/,
    },
  };
  for (const [why, { dsn: lead, code, message }] of Object.entries(refused)) {
    test(`${why} is told to the client, and no password is logged`, async () => {
      const proxy = await startTestProxy({ writers: [lead, dsn(w2, 'postgres')] });
      const error = await refusal(proxy.connect());
      assert.deepEqual([error.severity, error.code], ['FATAL', code], error.message);
      assert.match(error.message, message);
      const log = JSON.stringify(proxy.lines);
      assert.ok(!log.includes('wrong') && !log.includes(PASSWORD), log);
    });
  }

  test('at a follower fails the writes alone, and names the follower', async () => {
    const proxy = await startTestProxy({ writers: [dsn(w1, 'postgres'), dsn(w2, 'by_scram', 'wrong')] });
    const client = await proxy.connect();
    assert.equal(await value(client, 'SELECT 1'), 1);
    const error = await refusal(client.query('CREATE TABLE never (id int)'));
    assert.equal(error.code, '28P01');
    assert.ok(error.message.includes(`follower 127.0.0.1:${w2.port}`), error.message);
    assert.deepEqual(await sql(w1, "SELECT to_regclass('never') AS t"), [{ t: null }]);
  });

  test('because the server has too many clients already can be tried again', async () => {
    await sql(w2, 'ALTER ROLE plain CONNECTION LIMIT 0');
    const proxy = await startTestProxy({ writers: [dsn(w1, 'plain'), dsn(w2, 'plain')] });
    const client = await proxy.connect();
    await sql(w1, 'GRANT CREATE ON SCHEMA public TO plain');
    await sql(w2, 'GRANT CREATE ON SCHEMA public TO plain');
    assert.equal((await refusal(client.query('CREATE TABLE more (id int)'))).code, '53300');
    await sql(w2, 'ALTER ROLE plain CONNECTION LIMIT -1');
    await until('it works', () =>
      client.query('CREATE TABLE more (id int)').then(
        () => true,
        () => false,
      ),
    );
  });
});

test('without a user in the DSN each client is itself, on every writer', async () => {
  const bare = [w1, w2].map(({ port }) => `postgresql://127.0.0.1:${port}`);
  const proxy = await startTestProxy({ writers: bare });
  const client = await proxy.connect({ user: 'plain' });
  assert.equal(await value(client, 'SELECT current_user'), 'plain');
  assert.equal((await refusal(proxy.connect({ user: 'stranger' }))).message, 'role "stranger" does not exist');
});

test('a DSN with a database serves no other', async () => {
  const proxy = await startTestProxy({ writers: [w1.dsn('postgres'), w2.dsn('postgres')] });
  assert.equal(await value(await proxy.connect(), 'SELECT current_database()'), 'postgres');
  const error = await refusal(proxy.connect({ database: 'template1' }));
  assert.deepEqual([error.code, error.message], ['3D000', 'database "template1" does not exist']);
});
