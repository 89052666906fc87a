/** Free TCP ports on loopback, from below the range that systems take for outgoing connections. */
import { createServer } from 'node:net';
import { EmbeddedFailure } from './failure.ts';

/**
 * A stopped server has to find its port free when it starts again, so ports come from outside the ephemeral ranges
 * (Linux 32768 and up, others 49152 and up), where an outgoing connection could sit on them meanwhile.
 */
const lowest = 20_000;
const highest = 32_000;

/** That many different ports on which nothing listened a moment ago. */
export async function freePorts(count: number): Promise<readonly number[]> {
  const ports = new Set<number>();
  for (let attempt = 0; attempt < 1_000 && ports.size < count; attempt += 1) {
    const port = lowest + Math.floor(Math.random() * (highest - lowest));
    if (!ports.has(port) && (await canListen('127.0.0.1', port))) ports.add(port);
  }
  if (ports.size < count) throw new EmbeddedFailure(`No ${count} free ports between ${lowest} and ${highest}.`);
  return [...ports];
}

/** Whether a listener could be opened there now. */
export function canListen(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(true)));
  });
}
