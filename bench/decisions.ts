/**
 * `npm run bench -- decisions`: what the table of decisions costs the lead while it grows. Transactions that change one row, with
 * and without a decision, taking turns.
 */
import { cpus, loadavg, release } from 'node:os';
import { parseArgs } from 'node:util';
import type { Backend } from '../src/backend/backend.ts';
import { connectBackend } from '../src/backend/connect.ts';
import { parseLsn } from '../src/cluster/lsn.ts';
import { CommitReceiver } from '../src/commit/commit-receiver.ts';
import { deleteText, oldText, SWEPT_AT_ONCE } from '../src/commit/decisions.ts';
import { TransactionIds } from '../src/commit/gid.ts';
import { encodeDecision } from '../src/commit/own-messages.ts';
import { type Cluster, startCluster } from '../src/embedded/cluster.ts';
import { encodeQuery } from '../src/wire/frontend.ts';
import { leadSql } from './subjects.ts';

const usage = `npm run bench -- decisions [options]

  --transactions N    that are decided, in thousands (1000)
  --clients N         at once (16)`;

const progress = (line: string): void => void process.stderr.write(`${line}\n`);

/** Lines of the table. */
const SLICES = 5;
/** Of a slice, and of the transactions without a decision beside it. */
const COMPARED = 20_000;
/** Few enough that whole pages are logged once, and not with each update. */
const ROWS = 10_000;
const CONNECT_MS = 5000;

interface Slice {
  readonly tps: number;
  readonly walBytes: number;
}

/** The exit status. */
export async function benchDecisions(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      transactions: { type: 'string', default: '1000' },
      clients: { type: 'string', default: '16' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  const [thousands, clients] = [Number(values.transactions), Number(values.clients)];
  if (values.help || !(thousands >= 1 && thousands <= 100_000) || !(clients >= 1 && clients <= 90)) {
    console.log(usage);
    return values.help ? 0 : 2;
  }
  let cluster: Cluster | undefined;
  try {
    cluster = await startCluster({ writers: 1, reader: false, durability: 'none', leadSql, onProgress: progress });
    const [lead] = cluster.writers;
    if (lead === undefined) throw new Error('the cluster has a writer');
    const backends = await Promise.all(Array.from({ length: clients }, () => open(lead)));
    console.log(await measure(backends, (thousands * 1000) / SLICES, lead.major));
    for (const backend of backends) backend.close('idle');
    return 0;
  } finally {
    await cluster?.stop('immediate');
  }
}

async function measure(backends: readonly Backend[], perSlice: number, major: number): Promise<string> {
  const [first] = backends;
  if (first === undefined) throw new Error('there is a client');
  await first.ask('CREATE TABLE changed (id int PRIMARY KEY, n int NOT NULL)');
  await first.ask(`INSERT INTO changed SELECT id, 0 FROM generate_series(1, ${ROWS}) id`);
  const ids = new TransactionIds();
  const own = ids.next();
  const edition = { relations: '0', objects: '0', own: '0', sequences: '0' };
  const update = (): string => `UPDATE changed SET n = n + 1 WHERE id = ${1 + Math.floor(Math.random() * ROWS)}`;
  const without = (): Buffer => encodeQuery('COMMIT');
  const decided = ({ prepared }: Backend): Buffer =>
    encodeDecision(prepared, {
      id: ids.next(),
      end: 'commit',
      position: 'not asked for',
      process: own,
      edition,
      changes: 'nothing',
      sequences: { set: 'none', drawn: 'none' },
    });
  await slice(backends, COMPARED, update, decided);
  const lines: string[] = [];
  for (let round = 0; round < SLICES; round++) {
    const plain = await slice(backends, COMPARED, update, without);
    const own = await slice(backends, COMPARED, update, decided);
    const line = [
      (round * perSlice).toLocaleString('en-US'),
      plain.tps.toFixed(0),
      own.tps.toFixed(0),
      (own.tps / plain.tps).toFixed(2),
      plain.walBytes.toFixed(0),
      own.walBytes.toFixed(0),
    ];
    lines.push(`| ${line.join(' | ')} |`);
    progress(lines.at(-1) ?? '');
    await slice(backends, perSlice - COMPARED, update, decided);
  }
  const sizes = `SELECT count(*), pg_table_size('pprox.decision'), pg_indexes_size('pprox.decision') FROM pprox.decision`;
  const [count, table, index] = ((await first.ask(sizes)).rows[0] ?? []).map(Number);
  const started = performance.now();
  let swept = 0;
  for (let found = SWEPT_AT_ONCE; found === SWEPT_AT_ONCE; swept += found) {
    const old = (await first.ask(oldText(0))).rows.flatMap(([id]) => id ?? []);
    found = old.length;
    if (found > 0) await first.ask(deleteText(old));
  }
  const seconds = (performance.now() - started) / 1000;
  const megabytes = (bytes = 0): string => (bytes / 1024 / 1024).toFixed(0);
  const [cpu] = cpus();
  return `- ${cpus().length} × ${cpu?.model ?? 'unknown CPU'}, load average ${loadavg()[0]?.toFixed(1) ?? '?'} at the end
- ${process.platform} ${release()}, Node.js ${process.version}, PostgreSQL ${major}; fsync is off
- ${backends.length} clients; an UPDATE by key in a transaction of its own, sent together with its COMMIT, with and without a decision

| decisions in the table | tx/s without one | with | ratio | bytes of log without | with |
| --- | --- | --- | --- | --- | --- |
${lines.join('\n')}

- ${(count ?? 0).toLocaleString('en-US')} decisions: ${megabytes(table)} MB of table, ${megabytes(index)} MB of index
- swept in ${seconds.toFixed(1)} s by one connection, ${((seconds * 1e6) / swept).toFixed(0)} µs each`;
}

async function slice(
  backends: readonly Backend[],
  transactions: number,
  update: () => string,
  commit: (backend: Backend) => Buffer,
): Promise<Slice> {
  const [first] = backends;
  if (first === undefined) throw new Error('there is a client');
  const position = async (): Promise<bigint> =>
    parseLsn((await first.ask('SELECT pg_current_wal_insert_lsn()')).rows[0]?.[0] ?? '');
  const [before, started] = [await position(), performance.now()];
  let left = transactions;
  await Promise.all(
    backends.map(async (backend) => {
      while (left-- > 0) {
        const receiver = new CommitReceiver();
        const updated = backend.ask(`BEGIN; ${update()}`);
        backend.send(commit(backend), receiver);
        const [{ error }, { tag }] = await Promise.all([updated, receiver.reply]);
        if (error !== undefined || tag !== 'COMMIT') throw new Error(error?.message ?? 'not committed');
      }
    }),
  );
  const seconds = (performance.now() - started) / 1000;
  return { tps: transactions / seconds, walBytes: Number((await position()) - before) / transactions };
}

function open({ host, port }: { readonly host: string; readonly port: number }): Promise<Backend> {
  const parameters = new Map([
    ['user', 'postgres'],
    ['database', 'postgres'],
  ]);
  return connectBackend(
    { address: { host, port }, user: 'postgres', password: undefined, parameters, keepAliveMs: undefined },
    CONNECT_MS,
  );
}
