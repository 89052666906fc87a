import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { after, describe, test } from 'node:test';
import { Channel } from '../../../src/net/channel.ts';
import { ClientLink } from '../../../src/session/client-link.ts';
import { copyData, copyDone, query } from '../../support/frontend-messages.ts';
import { until } from '../../e2e/scene.ts';

interface Pair {
  readonly link: ClientLink;
  readonly client: Socket;
  readonly own: Socket;
}

async function sockets(): Promise<{ own: Socket; client: Socket }> {
  const listener = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const bound = listener.address();
  assert.ok(bound !== null && typeof bound === 'object');
  const client = connect(bound.port, '127.0.0.1');
  const [own] = (await once(listener, 'connection')) as [Socket];
  listener.close();
  client.on('error', () => undefined); // the tests hang up
  after(() => {
    client.destroy();
    own.destroy();
  });
  return { own, client };
}

async function pair(rest: Buffer = Buffer.alloc(0)): Promise<Pair> {
  const { own, client } = await sockets();
  return { link: new ClientLink(own, rest, 1024 * 1024), client, own };
}

const Q = 'Q'.charCodeAt(0);

describe('the link to a client', () => {
  test('gives its messages one by one, those behind the start-up first', async () => {
    const { link, client } = await pair(query('one'));
    client.write(Buffer.concat([query('two'), query('three')]));
    const texts: string[] = [];
    for (let count = 0; count < 3; count++) texts.push((await link.next())?.body.toString('utf8', 0) ?? '');
    assert.deepEqual(texts, ['one\0', 'two\0', 'three\0']);
  });

  test('gives what was sent before the end, then nothing', async () => {
    const { link, client } = await pair();
    client.end(query('last'));
    assert.equal((await link.next())?.tag, Q);
    assert.equal(await link.next(), undefined);
    assert.equal(link.gone, false, 'it still gets its answers');
  });

  test('tells once that its client is gone', async () => {
    const { link, client } = await pair();
    let told = 0;
    link.onGone = () => told++;
    client.resetAndDestroy();
    assert.equal(await link.next(), undefined);
    await until('it is told', () => told > 0);
    assert.ok(link.gone);
    assert.equal(told, 1);
  });

  test('reads no further ahead than a bound while its session is busy, and goes on when it is not', async () => {
    const { link, client } = await pair();
    const big = query(`SELECT '${'x'.repeat(50_000)}'`);
    let sent = 0;
    const TOTAL = 400;
    const feed = (async () => {
      for (; sent < TOTAL; sent++) if (!client.write(big)) await once(client, 'drain');
    })();
    await until('the client is braked', () => link.channel.braked);
    let received = 0;
    for (; received < TOTAL; received++) assert.equal((await link.next())?.body.length, big.length - 5);
    await feed;
  });

  test('ends the wait for COPY data when the COPY has ended, and does not remember it for the next', async () => {
    const { link, client } = await pair();
    link.beginCopy();
    const waiting = link.nextCopyPart();
    link.interrupt();
    assert.equal(await waiting, 'interrupted');
    link.interrupt(); // nobody waits
    link.beginCopy();
    client.write(Buffer.concat([copyData('1\n'), copyDone()]));
    const part = await link.nextCopyPart();
    assert.ok(part !== 'interrupted' && part?.kind === 'data');
  });

  test('knows what a message of COPY still owes', async () => {
    const { link, client } = await pair();
    client.write(copyData('0123456789').subarray(0, 8));
    link.beginCopy();
    const part = await link.nextCopyPart();
    assert.ok(part !== 'interrupted' && part?.kind === 'data' && part.bytes.length === 8);
    assert.equal(link.copyRemaining, 7);
  });

  test('brakes who feeds it while the client takes nothing, and lets go when it does', async () => {
    const { link, client } = await pair();
    const feeder = await sockets();
    const source = new Channel(feeder.own, {
      data: () => undefined,
      drained: () => undefined,
      closed: () => undefined,
    });
    client.pause();
    await until('the feeder is braked', () => {
      link.sendFrom(source, Buffer.alloc(256 * 1024));
      return source.braked;
    });
    client.resume();
    await until('the feeder goes on', () => !source.braked);
  });

  test('lets the feeder of a client that is gone go on', async () => {
    const { link, client } = await pair();
    const feeder = await sockets();
    const source = new Channel(feeder.own, {
      data: () => undefined,
      drained: () => undefined,
      closed: () => undefined,
    });
    client.pause();
    await until('the feeder is braked', () => {
      link.sendFrom(source, Buffer.alloc(256 * 1024));
      return source.braked;
    });
    client.resetAndDestroy();
    await until('the feeder goes on', () => !source.braked);
    link.sendFrom(source, Buffer.alloc(1024 * 1024));
    assert.ok(!source.braked);
  });
});
