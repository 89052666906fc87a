/** The demo before a stand-in for the proxy that only listens: `node demo-process.js port [data folder]`. With STUCK set it never stops. */
import { once } from 'node:events';
import { createServer } from 'node:net';
import { runDemo } from '../../src/cli/demo.ts';

const [port, dataDirectory] = process.argv.slice(2);
process.exitCode = await runDemo({
  listen: { kind: 'tcp', host: '127.0.0.1', port: Number(port) },
  dataDirectory,
  async startProxy({ listen }) {
    const server = createServer();
    if (listen.kind === 'tcp')
      server.listen({ port: listen.port, ...(listen.host === undefined ? {} : { host: listen.host }) });
    await once(server, 'listening');
    return {
      address: `127.0.0.1:${port}`,
      async stop() {
        if (process.env['STUCK'] !== undefined) await new Promise(() => undefined);
        server.close();
        await once(server, 'close');
      },
    };
  },
});
