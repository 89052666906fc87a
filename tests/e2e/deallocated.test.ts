/** What a function, a trigger or a procedure deallocates: statements that pprox has prepared there are prepared once more. */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import type { BackendMessage } from '../support/backend-messages.ts';
import { copyData, copyDone, query } from '../support/frontend-messages.ts';
import { assertWritersEqual, connectRaw, outcome, startScene } from './scene.ts';

const HANGS = { timeout: 60_000 };

const SCHEMA = `
  CREATE TABLE kept (id serial PRIMARY KEY, n int, at timestamptz);
  CREATE FUNCTION forget() RETURNS int LANGUAGE plpgsql AS 'BEGIN EXECUTE ''DEALLOCATE ALL''; RETURN 1; END';
  CREATE FUNCTION forget(int, int) RETURNS int LANGUAGE sql AS 'SELECT forget()';
  CREATE FUNCTION forget_row() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN EXECUTE ''DEALLOCATE ALL''; RETURN NEW; END';
  CREATE PROCEDURE forget_all() LANGUAGE plpgsql AS 'BEGIN EXECUTE ''DEALLOCATE ALL''; END';
  CREATE OPERATOR @@@ (FUNCTION = forget, LEFTARG = int, RIGHTARG = int);
  CREATE VIEW forgotten AS SELECT forget() AS n;
  CREATE TABLE fired (id serial PRIMARY KEY, n int);
  CREATE TRIGGER forget BEFORE INSERT ON fired FOR EACH ROW EXECUTE FUNCTION forget_row();
  INSERT INTO kept (n) VALUES (1)`;

/** Each is followed by writes whose ends ask what was prepared. */
const CASES: Readonly<Record<string, string>> = {
  'by a function': 'SELECT forget()',
  'by the value of a row': 'INSERT INTO kept (n) VALUES (forget())',
  'by an operator': 'SELECT 1 @@@ 2',
  'by a view': 'SELECT n FROM forgotten',
  'by a trigger': 'INSERT INTO fired (n) VALUES (1)',
  'by a block': "DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$",
  'by a procedure': 'CALL forget_all()',
};

const WRITES: readonly string[] = ['UPDATE kept SET at = now() WHERE id = 1', 'INSERT INTO kept (n) VALUES (7)'];

function failures(messages: readonly BackendMessage[]): readonly unknown[] {
  return messages.flatMap((message) => (message.type === 'ErrorResponse' ? [message.fields] : []));
}

for (const commitMode of ['two-phase', 'one-phase'] as const) {
  const scene = await startScene({ commitMode }, { reader: false });
  const { cluster } = scene;
  const client = await scene.proxy.connect();
  after(() => client.end());
  await client.query(SCHEMA);
  // All of it is prepared by now.
  for (const write of [...WRITES, ...WRITES]) await client.query(write);

  describe(commitMode, () => {
    for (const [name, statement] of Object.entries(CASES)) {
      test(name, HANGS, async () => {
        await client.query(statement);
        for (const write of WRITES) await client.query(write);
        await client.query(`BEGIN; ${WRITES.join('; ')}; COMMIT`);
        await client.query('BEGIN');
        for (const one of [WRITES[0] ?? '', statement, ...WRITES]) await client.query(one);
        await client.query('COMMIT');
        await client.query({ text: 'UPDATE kept SET n = $1 WHERE id = 1', values: [2] });
        await assertWritersEqual(cluster);
      });
    }

    test('by a trigger of a COPY', HANGS, async () => {
      const raw = await connectRaw(scene);
      for (let round = 0; round < 2; round++) {
        const copy = Buffer.concat([query('COPY fired (n) FROM STDIN'), copyData('5\n6\n'), copyDone()]);
        for (const message of [copy, ...WRITES.map(query)]) {
          const ready = raw.readies + 1;
          raw.send(message);
          await raw.waitReady(ready);
        }
      }
      assert.deepEqual(failures(raw.messages), []);
      await assertWritersEqual(cluster);
    });

    test('by a text that a function puts together: the next write may fail, and on every writer', HANGS, async () => {
      await client.query(
        `CREATE FUNCTION conceal() RETURNS int LANGUAGE plpgsql AS 'BEGIN EXECUTE ''DEALL'' || ''OCATE ALL''; RETURN 1; END'`,
      );
      for (let round = 0; round < 3; round++) {
        await outcome(client.query('SELECT conceal()'));
        await outcome(client.query('INSERT INTO kept (n) VALUES (8)'));
        await client.query('INSERT INTO kept (n) VALUES (9)');
        await assertWritersEqual(cluster);
      }
    });
  });
}
