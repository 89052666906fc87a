/**
 * Kills of everything at every step, under load, on real servers: no acknowledged transaction is lost, none is half applied,
 * nothing stays prepared or locked, nobody waits for ever. PPROX_TEST_ROUNDS: how many kills; each failure names its seed,
 * which PPROX_TEST_SEED takes.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Server } from '../../src/embedded/server.ts';
import { freeze, sql, startTestCluster, thaw } from '../support/cluster.ts';
import { ACCOUNTS, Load, TABLES } from './load.ts';
import { MOMENTS, startStepRelay, type Step, type StepRelay } from './step-relay.ts';

const ROUNDS = Number(process.env['PPROX_TEST_ROUNDS'] ?? 10);
const SEED = Number(process.env['PPROX_TEST_SEED'] ?? Date.now() % 1_000_000);
const CLIENTS = 16;
const PROXIES = 3;
/** After a round's kill everything is to be clean within this: above every deadline of the proxies. */
const CLEAN_MS = 60_000;

const cluster = await startTestCluster({ reader: false });
const { w1, w2 } = cluster;
await sql(w1, TABLES);
await sql(w2, TABLES);
const lead = await startStepRelay(w1);
const follower = await startStepRelay(w2);

interface Proxy {
  process: ChildProcess;
  /** Undefined while it does not run. */
  port: number | undefined;
}

const proxies: Proxy[] = [];

async function startProxy(): Promise<Proxy> {
  const child = fork(fileURLToPath(new URL('./proxy-process.js', import.meta.url)), {
    env: {
      ...process.env,
      PG_WRITERS_CSV: [lead, follower].map(({ port }) => `postgresql://postgres@127.0.0.1:${port}`).join(','),
      PG_READER_DSN: undefined,
      PPROX_COMMIT_MODE: 'two-phase',
      PPROX_LOG_LEVEL: 'error',
      PPROX_CONNECT_TIMEOUT: '1s',
      PPROX_FOLLOWER_LOCK_TIMEOUT: '1s',
      PPROX_FOLLOWER_TIMEOUT: '2s',
      PPROX_COMMIT_TIMEOUT: '3s',
      PPROX_RECOVERY_INTERVAL: '100ms',
      PPROX_RECOVERY_GRACE: '1s',
    },
    stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
  });
  child.stderr?.resume();
  const [port]: unknown[] = await once(child, 'message', { signal: AbortSignal.timeout(30_000) });
  assert.ok(typeof port === 'number');
  return { process: child, port };
}

after(() => {
  for (const { process: child } of proxies) child.kill('SIGKILL');
});

/** Numbers in [0, 1), the same for the same seed (mulberry32). */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const random = randomOf(SEED);
const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;

type Victim =
  | 'a proxy'
  | 'every proxy'
  | 'the lead'
  | 'the follower'
  | 'the lead at once'
  | 'the follower at once'
  | 'the lead, stopped'
  | 'the follower, stopped';

const VICTIMS: readonly Victim[] = [
  'a proxy',
  'every proxy',
  'the lead',
  'the follower',
  'the lead at once',
  'the follower at once',
  'the lead, stopped',
  'the follower, stopped',
];

const STEPS: readonly { readonly relay: StepRelay; readonly step: Step }[] = MOMENTS.flatMap((moment) => [
  // No reply comes to the row alone.
  ...(moment === 'before the query' || moment === 'after the query'
    ? [{ relay: lead, step: { query: 'decision row', moment } } as const]
    : []),
  { relay: follower, step: { query: 'PREPARE', moment } },
  { relay: lead, step: { query: 'COMMIT', moment } },
  { relay: follower, step: { query: 'COMMIT PREPARED', moment } },
]);

function killProxy(proxy: Proxy): void {
  proxy.port = undefined;
  proxy.process.kill('SIGKILL');
}

/** SIGQUIT is PostgreSQL's immediate shutdown; SIGKILL leaves its backends to find out by themselves. */
function strike(victim: Victim): void {
  switch (victim) {
    case 'a proxy':
      return killProxy(pick(proxies));
    case 'every proxy':
      for (const proxy of proxies) killProxy(proxy);
      return undefined;
    case 'the lead':
      return w1.kill('SIGQUIT');
    case 'the follower':
      return w2.kill('SIGQUIT');
    case 'the lead at once':
      return w1.kill('SIGKILL');
    case 'the follower at once':
      return w2.kill('SIGKILL');
    case 'the lead, stopped':
      return freeze(w1);
    default:
      return freeze(w2);
  }
}

async function heal(): Promise<void> {
  for (const server of [w1, w2]) {
    thaw(server);
    await ended(server);
    if (server.pid === undefined) await server.start();
  }
  for (const [index, proxy] of proxies.entries()) {
    if (proxy.port === undefined) proxies[index] = await startProxy();
  }
}

/** A server that was told to end may take a moment. */
async function ended(server: Server): Promise<void> {
  for (let wait = 0; wait < 20 && server.pid !== undefined; wait++) {
    if (
      await sql(server, 'SELECT 1').then(
        () => true,
        () => false,
      )
    )
      return;
    await sleep(50);
  }
}

async function left(): Promise<readonly unknown[]> {
  const prepared = [
    ...(await sql(w1, 'SELECT gid FROM pg_prepared_xacts')),
    ...(await sql(w2, 'SELECT gid FROM pg_prepared_xacts')),
  ];
  const open = await Promise.all(
    [w1, w2].map((server) =>
      sql(
        server,
        `SELECT query, state FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
           AND (xact_start IS NOT NULL OR wait_event_type = 'Lock')`,
      ),
    ),
  );
  return [...prepared, ...open.flat()];
}

async function clean(what: string): Promise<number> {
  const started = performance.now();
  for (;;) {
    const rest = await left();
    if (rest.length === 0) return performance.now() - started;
    assert.ok(performance.now() - started < CLEAN_MS, `${what}: still there: ${JSON.stringify(rest)}`);
    await sleep(20);
  }
}

async function judge(what: string, load: Load): Promise<void> {
  const state = async (server: Server): Promise<{ entries: ReadonlySet<number>; text: string }> => {
    const entries = await sql(server, 'SELECT id FROM entry ORDER BY id');
    const accounts = await sql(server, 'SELECT * FROM account ORDER BY id');
    const counted = await sql(
      server,
      'SELECT a.id, a.n, count(e.id)::int AS entries FROM account a LEFT JOIN entry e ON e.account = a.id GROUP BY a.id, a.n HAVING a.n <> count(e.id)',
    );
    assert.deepEqual(counted, [], `${what}: half a transaction on ${server.name}`);
    return { entries: new Set(entries.map(({ id }) => Number(id))), text: JSON.stringify([entries, accounts]) };
  };
  const [one, other] = [await state(w1), await state(w2)];
  const onlyOne = [...one.entries].filter((id) => !other.entries.has(id));
  const onlyOther = [...other.entries].filter((id) => !one.entries.has(id));
  assert.deepEqual({ onlyOne, onlyOther }, { onlyOne: [], onlyOther: [] }, `${what}: on one writer alone`);
  assert.equal(one.text, other.text, `${what}: the writers differ`);
  for (const [number, told] of load.told) {
    if (told === 'committed') assert.ok(one.entries.has(number), `${what}: acknowledged transaction ${number} is lost`);
    if (told === 'rolled back')
      assert.ok(!one.entries.has(number), `${what}: transaction ${number} was said to be rolled back`);
  }
  assert.equal(load.hung, 0, `${what}: a client hangs`);
}

test(`${ROUNDS} kills under ${CLIENTS} clients and ${PROXIES} proxies lose nothing and leave nothing (seed ${SEED})`, {
  timeout: 3_600_000,
}, async (t) => {
  for (let index = 0; index < PROXIES; index++) proxies.push(await startProxy());
  const times: number[] = [];
  const counts = { committed: 0, 'rolled back': 0, unknown: 0 };
  const errors = new Map<string, number>();
  for (let round = 0; round < ROUNDS; round++) {
    const victim = VICTIMS[round % VICTIMS.length] as Victim;
    const at = round % 4 === 3 ? undefined : pick(STEPS);
    const what = `round ${round}: ${victim}, ${at === undefined ? 'at random' : `${at.step.moment} ${at.step.query}`}`;
    const load = new Load(CLIENTS, () => proxies.flatMap(({ port }) => port ?? []));
    await sleep(100 + random() * 200);
    if (at === undefined) strike(victim);
    else {
      // Where the load does not come to it (a victim of the round before is still being found out), it strikes at random.
      const reached = at.relay.arm(at.step, () => strike(victim));
      const late = new AbortController();
      await Promise.race([reached, sleep(3000, undefined, { signal: late.signal }).catch(() => undefined)]);
      late.abort();
      at.relay.disarm();
    }
    await sleep(100 + random() * (victim.endsWith('stopped') ? 4000 : 400));
    await heal();
    const restarted = performance.now();
    await sleep(200);
    await load.end();
    await clean(what);
    times.push(performance.now() - restarted);
    await judge(what, load);
    for (const told of load.told.values()) counts[told]++;
    for (const [code, count] of load.errors) errors.set(code, (errors.get(code) ?? 0) + count);
  }
  const sorted = times.toSorted((a, b) => a - b);
  const at = (share: number): string =>
    `${Math.round(sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0)} ms`;
  t.diagnostic(`told: ${JSON.stringify(counts)}; errors: ${JSON.stringify(Object.fromEntries(errors))}`);
  t.diagnostic(`from restart to clean: median ${at(0.5)}, 90 % ${at(0.9)}, longest ${at(1)}`);
  assert.ok(counts.committed > ROUNDS * ACCOUNTS, 'the load has got through');
});
