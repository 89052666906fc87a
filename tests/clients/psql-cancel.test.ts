/** psql in motion: Ctrl-C, \watch, and conversations at a terminal. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Server } from '../../src/embedded/server.ts';
import { clientTest } from '../support/client-programs.ts';
import { sql } from '../support/cluster.ts';
import type { Finished } from './program.ts';
import { assertSame, assertSameText, startPsql, startTerminal } from './psql.ts';
import { type Address, assertWritersEqual, createDatabases, openStage } from './stage.ts';

const stage = await openStage();
const { w1, w2, replica } = stage.cluster;
await createDatabases(stage, 'direct', 'through');

/** Resolves when `server` runs a statement that contains `text`, in `state`. */
async function runs(server: Server, text: string, state: 'running' | 'waiting for a lock' = 'running'): Promise<void> {
  const condition = state === 'running' ? '' : "AND wait_event_type = 'Lock'";
  const query = `SELECT FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%${text}%' AND pid <> pg_backend_pid() ${condition}`;
  for (let waitedMs = 0; waitedMs < 30_000; waitedMs += 20) {
    if ((await sql(server, query)).length > 0) return;
    await sleep(20);
  }
  throw new Error(`${server.name} does not run ${text}`);
}

/** Runs `script` in psql and sends it Ctrl-C's signal once `reached` has. */
async function interrupted(
  target: Address,
  database: string,
  script: string,
  reached: () => Promise<void>,
): Promise<Finished> {
  const running = startPsql(target, ['-At'], { input: script, database });
  await reached();
  running.signal('SIGINT');
  return running.finished;
}

async function assertSameInterrupted(
  script: string,
  where: { readonly direct: Server; readonly through: Server },
  text: string,
  state: 'running' | 'waiting for a lock' = 'running',
): Promise<Finished> {
  const expected = await interrupted(stage.lead, 'direct', script, () => runs(where.direct, text, state));
  const actual = await interrupted(stage.proxy, 'through', script, () => runs(where.through, text, state));
  assertSameText(actual.stderr, expected.stderr, 'standard error');
  assertSameText(actual.stdout, expected.stdout, 'standard output');
  assert.equal(actual.status, expected.status);
  assert.match(actual.stderr, /canceling statement due to user request/);
  return actual;
}

clientTest('Ctrl-C cancels a read on the reader', 'psql', async () => {
  await assertSameInterrupted(
    "SELECT 'first';\nSELECT pg_sleep(60) /* on the reader */;\nSELECT 'third';\n",
    { direct: w1, through: replica },
    '/* on the reader */',
  );
});

clientTest('Ctrl-C cancels a read in a transaction that writes, and nothing of it stays', 'psql', async () => {
  const script =
    'BEGIN;\nCREATE TABLE never (n integer);\nINSERT INTO never VALUES (1);\nSELECT pg_sleep(60) /* on the lead */;\nCOMMIT;\n';
  await assertSameInterrupted(script, { direct: w1, through: w1 }, '/* on the lead */');
  for (const writer of [w1, w2])
    assert.deepEqual(await sql(writer, "SELECT FROM pg_class WHERE relname = 'never'", 'through'), []);
});

clientTest('Ctrl-C cancels a write that waits for a lock', 'psql', async () => {
  await assertSame(
    stage,
    ['-c', 'CREATE TABLE row (id integer PRIMARY KEY, n integer); INSERT INTO row VALUES (1, 1)'],
    undefined,
    { direct: 'direct', through: 'through' },
  );
  for (const [target, database] of [
    [stage.lead, 'direct'],
    [stage.proxy, 'through'],
  ] as const) {
    const holder = startPsql(target, ['-Atq'], { stdin: 'open', database });
    holder.write('BEGIN;\nUPDATE row SET n = 2 WHERE id = 1;\n\\echo locked\n');
    await holder.output((text) => text.includes('locked'));
    const { stderr } = await interrupted(target, database, 'UPDATE row SET n = 3 WHERE id = 1 /* waits */;\n', () =>
      runs(w1, '/* waits */', 'waiting for a lock'),
    );
    assert.match(stderr, /canceling statement due to user request/);
    holder.write('COMMIT;\n');
    holder.closeInput();
    assert.equal((await holder.finished).status, 0);
  }
  await assertWritersEqual(stage, 'through');
  assert.deepEqual(await sql(w2, 'TABLE row', 'through'), [{ id: 1, n: 2 }]);
});

clientTest('Ctrl-C cancels a write that only a follower is still at, and nothing of it stays', 'psql', async () => {
  await assertSame(stage, ['-c', 'CREATE TABLE slow (id integer PRIMARY KEY)'], undefined, {
    direct: 'direct',
    through: 'through',
  });
  await sql(
    w2,
    `CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(60); RETURN NEW; END $$;
     CREATE TRIGGER dawdle BEFORE INSERT ON slow FOR EACH ROW EXECUTE FUNCTION dawdle()`,
    'through',
  );
  const { stderr } = await interrupted(stage.proxy, 'through', 'INSERT INTO slow VALUES (1) /* slow there */;\n', () =>
    runs(w2, '/* slow there */'),
  );
  assert.match(stderr, /ERROR: {2}canceling statement due to user request/);
  for (const writer of [w1, w2]) assert.deepEqual(await sql(writer, 'TABLE slow', 'through'), []);
  await sql(w2, 'DROP TRIGGER dawdle ON slow; DROP FUNCTION dawdle()', 'through');
  await assertWritersEqual(stage, 'through');
});

clientTest('Ctrl-C ends \\watch', 'psql', async () => {
  const running = startPsql(stage.proxy, ['-At'], { input: "SELECT 'tick' \\watch 0.02\n", database: 'through' });
  await running.output((text) => text.split('tick').length > 5);
  running.signal('SIGINT');
  const { status, stdout } = await running.finished;
  // 3 where it came during a query and not in the pause between two.
  assert.ok(status === 0 || status === 3, String(status));
  assert.match(stdout, /^(tick\n){5,}\n*$/);
});

clientTest('\\watch repeats a write until it fails', 'psql', async () => {
  const where = { direct: 'direct', through: 'through' };
  const script = [
    'CREATE TABLE watched (n integer CHECK (n < 4));',
    'INSERT INTO watched SELECT count(*) FROM watched RETURNING n \\watch 0.02',
    'TABLE watched;',
  ].join('\n');
  const mask = (text: string): string => text.replaceAll(/^.*\(every 0.02s\)$/gm, 'tick');
  const { stdout, stderr } = await assertSame(stage, [], script, { ...where, mask });
  assert.equal(stdout.match(/every 0.02s/g)?.length, 4);
  assert.match(stderr, /violates check constraint "watched_n_check"/);
  await assertWritersEqual(stage, 'through');
});

interface Conversation {
  /** Types `text`, and resolves once psql has shown something that `shows` matches since, with all of it. */
  say(text: string, shows: RegExp): Promise<string>;
  leave(): Promise<void>;
}

/** psql on a terminal; its prompt is the transaction's status and an angle bracket. */
async function converse(target: Address, database: string): Promise<Conversation> {
  const terminal = startTerminal(target, ['-n', '-v', 'PROMPT1=%x> ', '-v', 'PROMPT2=- ', '-v', 'PROMPT3=data> '], {
    database,
  });
  let seen = 0;
  const shown = async (wanted: RegExp): Promise<string> => {
    const all = await terminal.output((text) => wanted.test(text.slice(seen)));
    const since = all.slice(seen);
    seen = all.length;
    return since;
  };
  // What is typed before psql is there would be lost.
  await shown(/> $/);
  return {
    say: async (text, shows) => {
      terminal.write(text);
      return shown(shows);
    },
    leave: async () => {
      terminal.write('\\q\n');
      const { status, stdout } = await terminal.finished;
      assert.equal(status, 0, stdout);
    },
  };
}

const controlC = '\u0003';

clientTest('at a terminal, Ctrl-C cancels one statement after the other, and the session goes on', 'psql', async () => {
  for (const [target, database, reads] of [
    [stage.lead, 'direct', w1],
    [stage.proxy, 'through', replica],
  ] as const) {
    const { say, leave } = await converse(target, database);
    for (const count of ['once', 'twice']) {
      await say(`SELECT pg_sleep(60) /* at the terminal, ${count} */;\n`, /twice|once/);
      await runs(reads, `/* at the terminal, ${count} */`);
      await say(controlC, /canceling statement due to user request\s+> $/);
    }
    await say('CREATE TABLE typed (n integer);\n', /CREATE TABLE\s+> $/);
    await say('BEGIN;\n', /BEGIN\s+\*> $/);
    await say('INSERT INTO typed VALUES (1);\n', /INSERT 0 1\s+\*> $/);
    await say('SELECT pg_sleep(60) /* in the block */;\n', /block/);
    await runs(w1, '/* in the block */');
    await say(controlC, /canceling statement due to user request\s+!> $/);
    await say('SELECT 1;\n', /current transaction is aborted[^]*!> $/);
    await say('ROLLBACK;\n', /ROLLBACK\s+> $/);
    await say('SELECT count(*) AS rows FROM typed;\n', / 0\s+\(1 row\)\s+> $/);
    await say('\\c nothing_like_it\n', /does not exist[^]*Previous connection kept\s+> $/);
    await say('COPY typed FROM STDIN;\n', /data> $/);
    await say('1\n', /data> $/);
    // Between its prompt and its read psql asks the server to cancel instead, and goes on reading; the server notices with
    // the next row.
    const given = await say(controlC, /COPY from stdin failed[^]*> $|Cancel request sent\s+$/);
    if (given.includes('Cancel request sent')) await say('2\n\\.\n', /canceling statement due to user request[^]*> $/);
    await say('\\copy typed FROM STDIN\n', /data> $/);
    await say('3\n\\.\n', /COPY 1\s+> $/);
    await say('TABLE typed;\n', / 3\s+\(1 row\)\s+> $/);
    await leave();
  }
  await assertWritersEqual(stage, 'through');
});
