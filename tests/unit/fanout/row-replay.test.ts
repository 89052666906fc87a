import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { Backend } from '../../../src/backend/backend.ts';
import type { Column } from '../../../src/cluster/table.ts';
import type { RowPlan } from '../../../src/fanout/plan.ts';
import { RowReplay, type Sending } from '../../../src/fanout/row-replay.ts';
import { type Answer, type FakeSession, reply, startFakeServer } from '../backend/fake-server.ts';
import { until } from '../../e2e/scene.ts';

function column(name: string, sequence: string | null = null): Column {
  return {
    name,
    type: 'text',
    base: 'text',
    numbered: false,
    default: null,
    identity: '',
    generated: '',
    sequence,
    unseen: false,
    selectable: true,
    insertable: true,
    updatable: true,
    draws: null,
    shownAs: '',
    exact: true,
    textual: true,
    plain: false,
    toldApart: true,
  };
}

const plan: RowPlan = {
  kind: 'rows',
  returning: '',
  rule: 'a test',
  columns: [column('id', 'public.s'), column('x')],
  sent: 2,
  keyed: 0,
  casts: [],
  verb: 'INSERT 0',
  batch: 'many rows',
  prefix: 'INSERT INTO t VALUES ',
  suffix: ' -- end',
  rows: 'not compared',
  client: 'no rows',
  effects: 'in the text',
  stored: [],
  direct: undefined,
  otherwise: 'rows',
  times: [],
};

/** As many rows as the statement has tuples: each begins with its id. */
const stores: Answer = (text, session) => {
  const rows = text.split("('").length - 1;
  session.send(reply.complete(`INSERT 0 ${rows}`), reply.ready('T'));
};

interface Options {
  readonly answer?: Answer;
  readonly backslashes?: 'literal' | 'escape';
  readonly timeoutMs?: number;
  readonly plan?: RowPlan;
  readonly sending?: Sending;
  readonly visible?: () => Promise<void> | undefined;
}

interface Fixture {
  readonly replay: RowReplay;
  readonly session: FakeSession;
  readonly target: Backend;
  add(...values: readonly (string | Buffer | null)[]): void;
}

async function fixture(options: Options = {}): Promise<Fixture> {
  const [lead, follower] = [await startFakeServer(), await startFakeServer(options.answer ?? stores)];
  const [source, target] = [await lead.connect(), await follower.connect()];
  const replay = new RowReplay(
    options.plan ?? plan,
    [{ label: 'follower f', backend: target }],
    source.channel,
    options.backslashes ?? 'literal',
    options.timeoutMs ?? 10_000,
    options.sending ?? 'at once',
    options.visible ?? (() => undefined),
  );
  const [session] = follower.sessions;
  assert.ok(session !== undefined);
  return {
    replay,
    session,
    target,
    add: (...values) => {
      const bytes = values.map((value) => (value === null ? null : Buffer.from(value)));
      replay.add(bytes);
    },
  };
}

/** Reads one string constant back as PostgreSQL reads it. */
function constant(text: string, backslashes: 'literal' | 'escape'): string {
  assert.ok(text.startsWith("'") && text.endsWith("'"), text);
  const inner = text.slice(1, -1);
  let value = '';
  for (let at = 0; at < inner.length; at++) {
    const next = inner[at + 1];
    if (inner[at] === "'") {
      assert.equal(next, "'", 'a quote inside is doubled');
      at++;
      value += "'";
    } else if (inner[at] === '\\' && backslashes === 'escape') {
      assert.equal(next, '\\', 'a backslash inside is doubled');
      at++;
      value += '\\';
    } else value += inner[at];
  }
  return value;
}

describe('the replay of rows', () => {
  test('makes one INSERT of the rows of the lead, NULL and the empty string apart', async () => {
    const { replay, session, add } = await fixture();
    add('1', 'plain');
    add('2', null);
    add('3', '');
    add('4', 'it\'s \\ "x"');
    assert.deepEqual(await replay.finish(), []);
    assert.deepEqual(session.queries, [
      `INSERT INTO t VALUES ('1','plain'), ('2',NULL), ('3',''), ('4','it''s \\ "x"') -- end`,
    ]);
    assert.equal(replay.total, 4);
  });

  test('quotes any text so that the server reads the same text back', async () => {
    for (const backslashes of ['literal', 'escape'] as const) {
      const texts = fc.sample(fc.string({ unit: fc.constantFrom("'", '\\', 'a', ',', ')', '(', '\n', 'é', '🐘') }), {
        numRuns: 60,
        seed: 7,
      });
      for (const text of texts) {
        assert.equal(constant(await quotedBy(text, backslashes), backslashes), text);
      }
    }
  });

  test('keeps the bytes of a value in whatever encoding they are', async () => {
    const raw = Buffer.from([0xe4, 0xf6, 0x27, 0xfc, 0x5c]);
    let seen: Buffer | undefined;
    const server = await startFakeServer();
    const source = await server.connect();
    const capture = await startFakeServer(stores);
    const target = await capture.connect();
    const send = target.query.bind(target);
    target.query = (text, receiver) => {
      if (typeof text !== 'string') seen = Buffer.from(text);
      send(text, receiver);
    };
    const replay = new RowReplay(
      plan,
      [{ label: 'f', backend: target }],
      source.channel,
      'literal',
      10_000,
      'at once',
      () => undefined,
    );
    replay.add([Buffer.from('1'), raw]);
    await replay.finish();
    assert.ok(
      seen?.includes(
        Buffer.concat([Buffer.from("'"), Buffer.from([0xe4, 0xf6, 0x27, 0x27, 0xfc, 0x5c]), Buffer.from("'")]),
      ),
    );
  });

  test('sends in batches while more rows come, and holds the lead when followers are behind', async () => {
    const held: FakeSession[] = [];
    const { replay, session, add } = await fixture({ answer: (_text, from) => held.push(from) });
    const long = 'y'.repeat(100_000);
    for (let id = 0; id < 12; id++) add(String(id), long);
    await until('the batches have come', () => session.queries.length === 4);
    for (const text of session.queries) assert.equal(text.split("('").length - 1, 3);
    const ended = replay.finish();
    for (const from of held) from.send(reply.complete('INSERT 0 3'), reply.ready('T'));
    assert.deepEqual(await ended, []);
    assert.equal(session.queries.length, 4);
  });

  test('row by row leaves room for what else a follower owes', async () => {
    const held: FakeSession[] = [];
    const { replay, session, target, add } = await fixture({
      plan: { ...plan, batch: 'one row' },
      answer: (_text, from) => held.push(from),
    });
    for (let n = 0; n < 40; n++) void target.ask('earlier').catch(() => undefined);
    for (let id = 0; id < 200; id++) add(String(id), 'x');
    await until('the first rows have come', () => session.queries.length === 40 + 64);
    const ended = replay.finish();
    let answered = 0;
    await until('all rows have come, and are answered', () => {
      for (const from of held.splice(0)) {
        from.send(reply.complete('INSERT 0 1'), reply.ready('T'));
        answered++;
      }
      return answered === 240;
    });
    assert.deepEqual(await ended, []);
  });

  test('row by row has no more than a few megabytes in flight', async () => {
    const held: FakeSession[] = [];
    const { replay, session, add } = await fixture({
      plan: { ...plan, batch: 'one row' },
      answer: (_text, from) => held.push(from),
    });
    const rows = 12;
    for (let id = 0; id < rows; id++) add(String(id), 'u'.repeat(1_500_000));
    const ended = replay.finish();
    for (let answered = 0; answered < rows; answered += held.splice(0).length) {
      const due = Math.min(rows, answered + 3);
      await until('three rows are in flight', () => session.queries.length === due);
      for (const from of held) from.send(reply.complete('INSERT 0 1'), reply.ready('T'));
    }
    assert.deepEqual(await ended, []);
  });

  test('that waits for its release sends nothing before, and everything then, in order and a few batches at a time', async () => {
    const { replay, session, add } = await fixture({ sending: 'when released' });
    const batches = 100;
    for (let id = 0; id < batches; id++) add(String(id), 'w'.repeat(300_000));
    assert.deepEqual(session.queries, []);
    replay.release('as planned');
    assert.deepEqual(await replay.finish(), []);
    const ids = session.queries.map((text) => Number(/\('(\d+)'/.exec(text)?.[1]));
    assert.deepEqual(
      ids,
      Array.from({ length: batches }, (_, id) => id),
    );
  });

  test('that waits for its release holds 64 MiB and no more, and then sends nothing of it', async () => {
    const { replay, session, add } = await fixture({ sending: 'when released' });
    const long = 'v'.repeat(1024 * 1024);
    for (let id = 0; id < 63; id++) add(String(id), long);
    assert.equal(replay.overflow, 'no');
    for (let id = 63; id < 70; id++) add(String(id), long);
    assert.equal(replay.overflow, 'yes');
    replay.release('as planned');
    await replay.finish();
    assert.deepEqual(session.queries, []);
  });

  test('tells what a follower refused, once', async () => {
    const { replay, add } = await fixture({
      answer: (_text, session) => session.send(reply.error('23505', 'duplicate'), reply.ready('E')),
    });
    for (let id = 0; id < 6; id++) add(String(id), 'z'.repeat(100_000));
    const failures = await replay.finish();
    assert.equal(failures.length, 1);
    assert.ok(
      failures[0]?.kind === 'error' && failures[0].fields.code === '23505' && failures[0].label === 'follower f',
    );
  });

  test('finds a follower that stored another number of rows, or other rows', async () => {
    const fewer = await fixture({
      answer: (_text, session) => session.send(reply.complete('INSERT 0 0'), reply.ready('T')),
    });
    fewer.add('1', 'x');
    assert.equal((await fewer.replay.finish())[0]?.kind, 'different');
    const other = await fixture({
      plan: { ...plan, rows: 'compared' },
      answer: (_text, session) =>
        session.send(reply.row('1', 'changed'), reply.complete('INSERT 0 1'), reply.ready('T')),
    });
    other.replay.add([Buffer.from('1'), Buffer.from('x')]);
    assert.equal((await other.replay.finish())[0]?.kind, 'different');
    const same = await fixture({
      plan: { ...plan, rows: 'compared' },
      answer: (_text, session) => session.send(reply.row('1', 'x'), reply.complete('INSERT 0 1'), reply.ready('T')),
    });
    same.replay.add([Buffer.from('1'), Buffer.from('x')]);
    assert.deepEqual(await same.replay.finish(), []);
  });

  test('gives a follower up that says nothing', async () => {
    const { replay, add } = await fixture({ answer: () => undefined, timeoutMs: 30 });
    add('1', 'x');
    const [failure] = await replay.finish();
    assert.ok(failure?.kind === 'lost' && failure.lost.reason === 'server too slow');
  });

  test('remembers the least and the greatest value of each sequence', async () => {
    const { replay, add } = await fixture();
    for (const id of ['7', '-3', '9223372036854775807', '12']) add(id, 'x');
    add(null, 'x');
    await replay.finish();
    assert.deepEqual([...replay.drawn], [['public.s', { least: -3n, greatest: 9223372036854775807n }]]);
  });

  test('of no row at all says nothing to anybody', async () => {
    const { replay, session } = await fixture();
    assert.deepEqual(await replay.finish(), []);
    assert.deepEqual(session.queries, []);
  });
});

async function quotedBy(text: string, backslashes: 'literal' | 'escape'): Promise<string> {
  const { replay, session, add } = await fixture({ backslashes });
  add('1', text);
  await replay.finish();
  const statement = session.queries.at(-1) ?? '';
  return statement.slice("INSERT INTO t VALUES ('1',".length, -') -- end'.length);
}
