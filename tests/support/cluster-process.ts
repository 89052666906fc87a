/** A process that runs a cluster until it is killed: `node cluster-process.js [data folder]`. Says what it started as one line of JSON. */
import { startCluster } from '../../src/embedded/cluster.ts';

const [directory] = process.argv.slice(2);
const cluster = await startCluster({ directory, writers: 2, reader: true, durability: 'none' });
const servers = [...cluster.writers, ...(cluster.reader === undefined ? [] : [cluster.reader])];
const pids = servers.map((server) => server.pid);
process.stdout.write(`${JSON.stringify({ directory: cluster.directory, pids, dsn: servers[0]?.dsn() })}\n`);
setInterval(() => undefined, 60_000);
