import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect, Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { listen, type Listener } from '../../../src/net/listener.ts';

const folder = mkdtempSync(join(tmpdir(), 'pprox-listen-'));
after(() => rmSync(folder, { recursive: true, force: true }));

async function opened(...addresses: Parameters<typeof listen>[0]): Promise<{
  listener: Listener;
  sockets: Socket[];
  errors: Error[];
}> {
  const sockets: Socket[] = [];
  const errors: Error[] = [];
  const accept = (socket: Socket): void => {
    sockets.push(socket);
    socket.on('error', () => undefined); // the tests drop their connections
  };
  const listener = await listen(addresses, accept, (error) => errors.push(error));
  after(() => {
    for (const socket of sockets) socket.destroy();
    return listener.close();
  });
  return { listener, sockets, errors };
}

const anyPort = { kind: 'tcp', host: '127.0.0.1', port: 0 } as const;

describe('listening', () => {
  test('on port 0 tells the port that it got', async () => {
    const { listener } = await opened(anyPort);
    const [address] = listener.addresses;
    assert.ok(address?.kind === 'tcp' && address.port > 0);
    const socket = connect(address.port, '127.0.0.1');
    await once(socket, 'connect');
    socket.destroy();
  });

  test('goes on when a connection could not be accepted, and tells so', async (t) => {
    const listening = t.mock.method(Server.prototype, 'listen');
    const { listener, sockets, errors } = await opened(anyPort);
    const server = listening.mock.calls[0]?.this as Server;
    const refused = Object.assign(new Error('accept EMFILE'), { code: 'EMFILE' });
    server.emit('error', refused);
    server.emit('error', refused);
    assert.deepEqual(errors, [refused, refused]);
    const [address] = listener.addresses;
    assert.ok(address?.kind === 'tcp');
    const socket = connect(address.port, '127.0.0.1');
    await once(socket, 'connect');
    while (sockets.length < 1) await new Promise((resolve) => setImmediate(resolve));
    socket.destroy();
  });

  test('on several addresses is on all of them or on none', async () => {
    const { listener } = await opened(anyPort);
    const [taken] = listener.addresses;
    assert.ok(taken?.kind === 'tcp');
    const path = join(folder, 'first');
    await assert.rejects(opened({ kind: 'unix', path }, taken), { code: 'EADDRINUSE' });
    assert.ok(!existsSync(path), 'the first was given up');
  });

  test('on a Unix socket lets every user of the machine in', async () => {
    const path = join(folder, 'open');
    await opened({ kind: 'unix', path });
    assert.equal(statSync(path).mode & 0o777, 0o777);
  });

  test('on a Unix socket that another listens on is refused, and does the other no harm', async () => {
    const path = join(folder, 'shared');
    const { sockets } = await opened({ kind: 'unix', path });
    await assert.rejects(opened({ kind: 'unix', path }), { code: 'EADDRINUSE' });
    const socket = connect(path);
    await once(socket, 'connect');
    while (sockets.length < 2) await new Promise((resolve) => setImmediate(resolve));
    socket.destroy();
  });

  test('takes the place of a Unix socket whose process was killed', async () => {
    const path = join(folder, 'stale');
    const program = `require('node:net').createServer().listen(${JSON.stringify(path)}, () => console.log('listens'))`;
    const child = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(child.stdout, 'data');
    child.kill('SIGKILL');
    await once(child, 'exit');
    assert.ok(existsSync(path));
    await opened({ kind: 'unix', path });
    const socket = connect(path);
    await once(socket, 'connect');
    socket.destroy();
  });

  test('removes no file that is not a socket', async () => {
    const path = join(folder, 'precious');
    writeFileSync(path, 'data');
    await assert.rejects(opened({ kind: 'unix', path }), { code: 'EADDRINUSE' });
    assert.equal(readFileSync(path, 'utf8'), 'data');
  });

  test('that has ended leaves the connections that it had accepted', async () => {
    const { listener, sockets } = await opened(anyPort);
    const [address] = listener.addresses;
    assert.ok(address?.kind === 'tcp');
    const socket = connect(address.port, '127.0.0.1');
    await once(socket, 'connect');
    while (sockets.length === 0) await new Promise((resolve) => setImmediate(resolve));
    let closed: 'no' | 'yes' = 'no';
    const ended = listener.close().then(() => {
      closed = 'yes';
    });
    sockets[0]?.write('still here');
    const [chunk] = (await once(socket, 'data')) as [Buffer];
    assert.equal(chunk.toString(), 'still here');
    assert.equal(closed, 'no');
    socket.destroy();
    sockets[0]?.destroy();
    await ended;
  });
});
