import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { after, describe, test } from 'node:test';
import { Channel } from '../../../src/net/channel.ts';
import { until } from '../../e2e/scene.ts';

interface Pair {
  readonly channel: Channel;
  /** The socket that the channel has. */
  readonly own: Socket;
  readonly peer: Socket;
  readonly received: Buffer[];
  readonly events: string[];
}

async function pair(): Promise<Pair> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const bound = server.address();
  assert.ok(bound !== null && typeof bound === 'object');
  const peer = connect(bound.port, '127.0.0.1');
  peer.on('error', () => undefined); // some tests end it roughly
  const [own] = (await once(server, 'connection')) as [Socket];
  if (peer.connecting) await once(peer, 'connect');
  server.close();
  after(() => {
    own.destroy();
    peer.destroy();
  });
  const received: Buffer[] = [];
  const events: string[] = [];
  const channel = new Channel(own, {
    data: (chunk) => received.push(chunk),
    drained: () => events.push('drained'),
    closed: (error) => events.push(error === undefined ? 'closed' : 'closed by an error'),
  });
  return { channel, own, peer, received, events };
}

describe('a channel', () => {
  test('sends what one turn of the event loop has for it in one write', async () => {
    const { channel, own, peer } = await pair();
    let writes = 0;
    const writev = own._writev?.bind(own);
    assert.ok(writev !== undefined);
    own._writev = (chunks, callback) => {
      writes++;
      writev(chunks, callback);
    };
    for (const part of ['a', 'b', 'c']) channel.send(Buffer.from(part));
    await Promise.resolve();
    channel.send(Buffer.from('d'));
    const [chunk] = (await once(peer, 'data')) as [Buffer];
    assert.equal(chunk.toString(), 'abcd');
    assert.equal(writes, 1);
  });

  test('is not read while there is any reason to brake it', async () => {
    const { channel, peer, received } = await pair();
    channel.brake('receiver slow');
    channel.brake('session busy');
    channel.brake('receiver slow');
    peer.write('x');
    channel.release('receiver slow');
    for (let turns = 0; turns < 20; turns++) await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(received, []);
    assert.ok(channel.braked);
    channel.release('session busy');
    await until('it is read', () => received.length > 0);
    assert.ok(!channel.braked);
  });

  test('is congested once more waits than the peer takes, and says when it is not', async () => {
    const { channel, peer, events } = await pair();
    peer.pause();
    assert.ok(!channel.congested);
    const block = Buffer.alloc(64 * 1024);
    await until('it is congested', () => {
      channel.send(block);
      return channel.congested;
    });
    events.length = 0;
    peer.resume();
    await until('it has drained', () => events.includes('drained'));
    assert.ok(!channel.congested);
  });

  test('sends what is queued before it ends, and drops what comes later', async () => {
    const { channel, peer, events } = await pair();
    const chunks: Buffer[] = [];
    peer.on('data', (chunk) => chunks.push(chunk));
    channel.send(Buffer.from('last words'));
    channel.end(5000);
    channel.send(Buffer.from(' and more'));
    await until('it is closed', () => events.includes('closed'));
    assert.equal(Buffer.concat(chunks).toString(), 'last words');
  });

  test('that ends is cut when the peer does not take its last words', async () => {
    const { channel, peer, events } = await pair();
    peer.pause();
    const block = Buffer.alloc(1024 * 1024);
    await until('the peer takes no more', () => {
      channel.send(block);
      return channel.congested;
    });
    channel.end(20);
    await until('it is closed', () => events.length > 0);
    assert.equal(peer.destroyed, false);
  });

  test('says once how it was closed', async () => {
    const { peer, events, own } = await pair();
    peer.resetAndDestroy();
    await until('it is closed', () => events.length > 0);
    assert.deepEqual(events, ['closed by an error']);
    own.destroy();
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(events.length, 1);
  });
});
