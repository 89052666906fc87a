/** Statements in front of others, and what becomes of these where one of them is refused; the server here keeps to the manual, "Extended Query". */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { Backend } from '../../../src/backend/backend.ts';
import { POISON } from '../../../src/backend/ledger.ts';
import { BackendLostError, Collector } from '../../../src/backend/receiver.ts';
import { encodeQuery } from '../../../src/wire/frontend.ts';
import { until } from '../../e2e/scene.ts';
import { cString, frame } from '../../support/frontend-messages.ts';
import { reply } from './fake-server.ts';
import { FakeSocket } from './fake-socket.ts';

/** What PostgreSQL does with messages, as far as it matters here: each text that it runs, and what it says. */
class Server {
  readonly socket = new FakeSocket();
  readonly backend: Backend;
  /** In their order, with the state of the transaction before each. */
  readonly run: string[] = [];
  /** Texts that are refused, the first of each as often as it stands here. */
  readonly refused: string[] = [];
  #status: 'I' | 'T' | 'E' = 'I';
  #discarding: 'no' | 'up to Sync' = 'no';
  readonly #parsed = new Map<string, string>();
  #bound = '';
  #seen = 0;

  constructor() {
    this.backend = new Backend({ socket: this.socket, encryption: undefined }, { host: 'server', port: 1 }, undefined);
    this.backend.start(
      { address: this.backend.address, user: 'u', password: undefined, parameters: new Map(), keepAliveMs: undefined },
      () => undefined,
      () => assert.fail('the start-up is accepted'),
    );
    this.#seen = this.socket.bytes.length;
    this.socket.arrive(
      Buffer.concat([reply.authenticationOk, frame('K', Buffer.from([0, 0, 0, 7, 1, 2, 3, 4])), reply.ready()]),
    );
  }

  /** Reads what has been sent, and answers, until nothing comes any more. */
  async serve(): Promise<void> {
    for (let turns = 0; turns < 5; turns++) {
      await turn();
      this.#read();
    }
  }

  #read(): void {
    const bytes = this.socket.bytes.subarray(this.#seen);
    this.#seen += bytes.length;
    const answers: Buffer[] = [];
    for (let at = 0; at < bytes.length; ) {
      const end = at + 1 + bytes.readInt32BE(at + 1);
      answers.push(...this.#message(bytes.toString('latin1', at, at + 1), bytes.subarray(at + 5, end)));
      at = end;
    }
    if (answers.length > 0) this.socket.arrive(Buffer.concat(answers));
  }

  #message(type: string, body: Buffer): readonly Buffer[] {
    if (type === 'X') return [];
    if (type === 'S') {
      this.#discarding = 'no';
      return [reply.ready(this.#status)];
    }
    if (this.#discarding === 'up to Sync') return [];
    if (type === 'C') return [frame('3', Buffer.alloc(0))];
    if (type === 'P') {
      const [name = '', text = ''] = body.toString('utf8').split('\0');
      this.#parsed.set(name, text);
      return [frame('1', Buffer.alloc(0))];
    }
    if (type === 'B') {
      const [, name = ''] = body.toString('utf8').split('\0');
      this.#bound = this.#parsed.get(name) ?? '';
      return [frame('2', Buffer.alloc(0))];
    }
    if (type === 'E') {
      const answer = this.#statement(this.#bound);
      if (answer[0] === 0x45) this.#discarding = 'up to Sync';
      return [answer];
    }
    assert.equal(type, 'Q');
    return [this.#statement(body.toString('utf8', 0, body.length - 1)), reply.ready(this.#status)];
  }

  #statement(text: string): Buffer {
    const at = this.refused.indexOf(text);
    if (at !== -1) this.refused.splice(at, 1);
    if (at !== -1 || text === POISON || this.#status === 'E') {
      if (this.#status === 'T') this.#status = 'E';
      return reply.error(at === -1 ? '25P02' : '57014', 'refused');
    }
    this.run.push(`${this.#status} ${text}`);
    if (text === 'BEGIN') this.#status = 'T';
    return reply.complete(text.split(' ')[0] ?? '');
  }
}

/** Of the extended protocol, with its Sync. */
function extended(text: string): Buffer {
  const nothing = Buffer.alloc(6);
  return Buffer.concat([
    frame('P', Buffer.concat([cString(''), cString(text), Buffer.alloc(2)])),
    frame('B', Buffer.concat([cString(''), cString(''), nothing])),
    frame('E', Buffer.concat([cString(''), Buffer.alloc(4)])),
    frame('S', Buffer.alloc(0)),
  ]);
}

/** Its SQLSTATE or its tags, and the state of the transaction behind it. */
async function asked(server: Server, message: Buffer): Promise<string> {
  const collector = new Collector();
  server.backend.send(message, collector);
  const { error, tags, status } = await collector.reply;
  return `${error?.code ?? tags.join()} ${String.fromCharCode(status)}`;
}

const UPDATE = encodeQuery('UPDATE');
/** Nothing goes out by itself. */
const LONG_MS = 3_600_000;

describe('statements ahead of others', () => {
  const servers: Server[] = [];
  const started = (): Server => {
    const server = new Server();
    servers.push(server);
    return server;
  };
  after(() => {
    for (const { backend } of servers) backend.close('shutdown');
  });

  for (const [protocol, message, other] of [
    ['simple', UPDATE, encodeQuery('DELETE')],
    ['extended', extended('UPDATE'), extended('DELETE')],
  ] as const) {
    test(`go out in one write with what comes next, of the ${protocol} protocol`, async () => {
      const server = started();
      server.backend.ahead('begin', ['BEGIN', 'SAVEPOINT a'], LONG_MS);
      await server.serve();
      assert.deepEqual(server.run, [], 'nothing goes out by itself');
      const found = [asked(server, message), asked(server, other)];
      await server.serve();
      assert.deepEqual(await Promise.all(found), ['UPDATE T', 'DELETE T']);
      assert.deepEqual(server.run, ['I BEGIN', 'T SAVEPOINT a', 'T UPDATE', 'T DELETE']);
      assert.ok(server.backend.idle);
    });

    test(`that begin a transaction in vain leave a failed one, and nothing of the ${protocol} protocol is done without it`, async () => {
      const server = started();
      server.refused.push('BEGIN');
      server.backend.ahead('begin', ['BEGIN', 'SAVEPOINT a'], LONG_MS);
      const found = [asked(server, message), asked(server, other)];
      await server.serve();
      const [first, second] = await Promise.all(found);
      assert.equal(first, '57014 E');
      assert.match(second ?? '', protocol === 'simple' ? /^57014 E$/ : /^25P02 E$/);
      assert.deepEqual(server.run, ['I BEGIN']);
      assert.ok(server.backend.idle);
    });

    test(`that fail within a transaction fail what comes next, of the ${protocol} protocol`, async () => {
      const server = started();
      server.backend.ahead('begin', ['BEGIN'], LONG_MS);
      const begun = asked(server, UPDATE);
      await server.serve();
      await begun;
      server.refused.push('SAVEPOINT a');
      server.backend.ahead('within', ['SAVEPOINT a'], LONG_MS);
      const found = asked(server, message);
      await server.serve();
      assert.equal(await found, '57014 E');
      assert.deepEqual(server.run, ['I BEGIN', 'T UPDATE']);
    });
  }

  test('are answered by themselves where they ask', async () => {
    const server = started();
    server.backend.ahead('begin', ['BEGIN'], LONG_MS);
    const [answer, found] = [server.backend.askAhead({ name: 'pprox: one', text: 'SELECT 1' }), asked(server, UPDATE)];
    await server.serve();
    assert.deepEqual((await answer).tags, ['SELECT']);
    assert.equal(await found, 'UPDATE T');
    server.refused.push('SELECT 2');
    const [refused, behind] = [
      server.backend.askAhead({ name: 'pprox: two', text: 'SELECT 2' }),
      asked(server, UPDATE),
    ];
    await server.serve();
    assert.equal((await refused).error?.code, '57014');
    assert.equal(await behind, '57014 E');
  });

  test('go out by themselves when nothing comes; a transaction that is refused then is begun once more', async () => {
    const server = started();
    server.refused.push('BEGIN');
    server.backend.ahead('begin', ['BEGIN', 'SAVEPOINT a'], 1);
    await until('it has gone out', async () => {
      await server.serve();
      return server.run.length > 0;
    });
    const found = asked(server, UPDATE);
    await server.serve();
    assert.equal(await found, 'UPDATE T');
    assert.deepEqual(server.run, ['I BEGIN', 'T SAVEPOINT a', 'T UPDATE']);
  });

  test('that are refused twice with nothing behind them lose the connection', async () => {
    const server = started();
    server.refused.push('BEGIN', 'BEGIN');
    server.backend.ahead('begin', ['BEGIN'], 1);
    await until('it is given up', async () => {
      await server.serve();
      return !server.backend.open;
    });
    assert.deepEqual([server.run, server.refused], [[], []]);
    await assert.rejects(asked(server, UPDATE), BackendLostError);
  });

  test('what can be undone does not wait for a beginning that has a Sync behind it', async () => {
    const server = started();
    server.backend.ahead('begin', ['BEGIN'], LONG_MS);
    const begun = asked(server, extended('UPDATE'));
    const collector = new Collector();
    server.backend.sendAtOnce(extended('PREPARE'), collector);
    assert.ok(server.socket.bytes.toString('latin1').includes('PREPARE'), 'it has gone out');
    await server.serve();
    assert.equal(await begun, 'UPDATE T');
    assert.deepEqual((await collector.reply).tags, ['PREPARE']);
    assert.deepEqual(server.run, ['I BEGIN', 'T UPDATE', 'T PREPARE']);
  });

  test('what can be undone is done by itself where the beginning is refused, and a failed transaction begins behind it', async () => {
    const server = started();
    server.refused.push('BEGIN');
    server.backend.ahead('begin', ['BEGIN'], LONG_MS);
    const refused = asked(server, extended('UPDATE'));
    const collector = new Collector();
    server.backend.sendAtOnce(extended('PREPARE'), collector);
    await server.serve();
    assert.equal(await refused, '57014 E');
    assert.deepEqual((await collector.reply).tags, ['PREPARE']);
    assert.deepEqual(server.run, ['I PREPARE', 'I BEGIN']);
    assert.ok(server.backend.idle);
  });

  test('a question that is asked at once goes out with the statement that begins, and is answered outside where that is refused', async () => {
    for (const refused of [[], ['BEGIN']]) {
      const server = started();
      server.refused.push(...refused);
      server.backend.ahead('begin', ['BEGIN'], LONG_MS);
      const begun = asked(server, extended('UPDATE'));
      const answer = server.backend.ask('LOOK', 'at once');
      assert.ok(server.socket.bytes.toString('latin1').includes('LOOK'), 'it has gone out');
      await server.serve();
      assert.equal(await begun, refused.length === 0 ? 'UPDATE T' : '57014 E');
      assert.deepEqual((await answer).tags, ['LOOK']);
      assert.deepEqual(server.run, refused.length === 0 ? ['I BEGIN', 'T UPDATE', 'T LOOK'] : ['I LOOK', 'I BEGIN']);
    }
  });

  test('what can be undone waits behind what waits', async () => {
    const server = started();
    server.backend.ahead('begin', ['BEGIN'], LONG_MS);
    const found = [asked(server, extended('UPDATE')), asked(server, extended('DELETE'))];
    const collector = new Collector();
    server.backend.sendAtOnce(extended('PREPARE'), collector);
    await server.serve();
    assert.deepEqual(await Promise.all(found), ['UPDATE T', 'DELETE T']);
    assert.deepEqual((await collector.reply).tags, ['PREPARE']);
    assert.deepEqual(server.run, ['I BEGIN', 'T UPDATE', 'T DELETE', 'T PREPARE']);
  });

  test('what comes while the transaction is begun once more waits for it', async () => {
    const server = started();
    server.refused.push('BEGIN');
    server.backend.ahead('begin', ['BEGIN'], LONG_MS);
    const first = asked(server, extended('UPDATE'));
    await turn();
    const second = asked(server, UPDATE);
    await server.serve();
    assert.deepEqual([await first, await second], ['57014 E', '25P02 E']);
    assert.deepEqual(server.run, ['I BEGIN']);
  });

  test('that cannot be begun at all lose the connection', async () => {
    const server = started();
    server.refused.push('BEGIN', 'BEGIN');
    server.backend.ahead('begin', ['BEGIN'], LONG_MS);
    const lost = asked(server, UPDATE).catch((error: unknown) => error);
    await server.serve();
    assert.ok((await lost) instanceof BackendLostError);
    assert.deepEqual(server.run, []);
    assert.equal(server.backend.open, false);
  });

  test('are lost with the connection, and so is who comes behind them', async () => {
    const server = started();
    server.refused.push('BEGIN');
    server.backend.ahead('begin', ['BEGIN'], LONG_MS);
    const found = [asked(server, extended('UPDATE')), asked(server, UPDATE)];
    await turn();
    server.backend.close('idle');
    for (const one of await Promise.allSettled(found)) assert.equal(one.status, 'rejected');
  });
});

describe('what keeps a server awake', () => {
  const syncs = (server: Server): number => server.socket.bytes.toString('latin1').split('S\0\0\0\x04').length - 1;

  test('is sent once, until it is answered', async () => {
    const server = new Server();
    const before = syncs(server);
    for (let at = 0; at < 1000; at++) server.backend.stir(at * 100);
    await turn();
    assert.equal(syncs(server) - before, 1);
    await server.serve();
    assert.ok(server.backend.idle);
    server.backend.stir(200_000);
    await turn();
    assert.equal(syncs(server) - before, 2);
  });

  test('is sent a few times where rows are kept waiting, for a minute, and then no more', async () => {
    const server = new Server();
    const before = syncs(server);
    server.backend.channel.brake('row replay slow');
    for (let at = 0; at < 10_000; at++) server.backend.stir(at * 100);
    await turn();
    assert.equal(syncs(server) - before, 64);
  });
});
