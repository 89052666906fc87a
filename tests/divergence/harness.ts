/**
 * Runs a case: makes its schema through a proxy, lets every client run its transactions at the same time, and compares all
 * writers, row for row and sequence for sequence. What a transaction is and may fail with is the case's (`case.ts`); how it
 * is wrapped and when it is tried again is drawn from the seed (`transaction.ts`). The order in which the servers take the
 * transactions is not drawn: a seed repeats the statements, not the race.
 */
import assert from 'node:assert/strict';
import pg from 'pg';
import type { Server } from '../../src/embedded/server.ts';
import { Random } from '../simulation/random.ts';
import { sql } from '../support/cluster.ts';
import type { LogLine } from '../support/proxy.ts';
import type { Case } from './case.ts';
import { differences, settled } from './compare.ts';
import { ROLE } from './role.ts';
import { type Ending, runTransaction } from './transaction.ts';

export const CLIENTS = 16;
/** Transactions of each client: `PPROX_TEST_ROUNDS`. Undefined: the file's own number. */
export const ROUNDS = wantedRounds(process.env['PPROX_TEST_ROUNDS']);
/** The same statements always, unless `PPROX_TEST_SEED` asks for others. */
export const SEED = Number(process.env['PPROX_TEST_SEED'] ?? 20261129);

/** 40001, 40P01, 55P03: lost to another transaction. 40002, 0A000: pprox's refusals. 25P02: after an error. */
const ALWAYS_ALLOWED: ReadonlySet<string> = new Set(['40001', '40P01', '40002', '55P03', '0A000', '25P02']);

/** Beyond every deadline of the proxy: a query without an answer for so long is one that hangs. */
const HANG_MS = 50_000;

function wantedRounds(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const rounds = Number(text);
  if (!Number.isInteger(rounds) || rounds < 1) throw new Error(`PPROX_TEST_ROUNDS is a number from 1, not "${text}"`);
  return rounds;
}

export interface Field {
  /** What the proxies have logged. */
  readonly logs: readonly (readonly LogLine[])[];
  readonly writers: readonly Server[];
  /** Of one proxy or of several: clients are spread over them. */
  readonly dsns: readonly string[];
  readonly rounds: number;
}

export interface Verdict {
  readonly case: Case;
  readonly committed: number;
  readonly rolledBack: number;
  /** By SQLSTATE, with `follower` behind it where a follower alone has failed. */
  readonly errors: ReadonlyMap<string, number>;
  /** One example of each kind of error. */
  readonly examples: ReadonlyMap<string, string>;
  /** Errors that the case does not expect, and broken connections. */
  readonly unexpected: readonly string[];
  readonly differences: readonly string[];
  readonly durationMs: number;
}

/** What every case may use, made once. */
export async function prepare({ dsns }: Field): Promise<void> {
  const client = await connect(dsns[0] ?? '');
  await client.query(`CREATE ROLE ${ROLE} LOGIN; CREATE ROLE ${ROLE}_other`);
  await client.end();
}

/** A client whose queries end, answered or not. */
export async function connect(dsn: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: dsn, query_timeout: HANG_MS });
  client.on('error', () => undefined); // a query in flight rejects by itself
  client.on('notice', () => undefined);
  await client.connect();
  return client;
}

let schemas = 0;

export async function runCase(field: Field, played: Case): Promise<Verdict> {
  const started = performance.now();
  schemas += 1;
  const schema = `case_${schemas}`;
  const counts: Counts = { committed: 0, rolledBack: 0, errors: new Map(), examples: new Map(), unexpected: [] };
  const path = `SET search_path = ${schema}, public`;
  const maker = await connect(field.dsns[0] ?? '');
  try {
    await maker.query(`CREATE SCHEMA ${schema}; GRANT ALL ON SCHEMA ${schema} TO ${ROLE}`);
    await maker.query(path);
    await maker.query(played.schema);
    const clients = Array.from({ length: CLIENTS }, async (_, index) => {
      await runClient(field, played, index, path, counts);
    });
    await Promise.all(clients);
    await settled(field.writers);
    const found = await differences(field.writers, schema, played.sequences ?? 'kept ahead');
    return { ...counts, case: played, differences: found, durationMs: performance.now() - started };
  } finally {
    await maker
      .query(`SET lock_timeout = ${DROP_MS}; DROP SCHEMA IF EXISTS ${schema} CASCADE`)
      .catch(() => dropDirectly(field.writers, schema));
    await maker.end();
    if (played.largeObjects === 'compared') {
      for (const server of field.writers) await sql(server, 'SELECT lo_unlink(oid) FROM pg_largeobject_metadata');
    }
  }
}

/** Writers that differ may not do the same when they drop; where something hangs the schema stays, and disturbs nobody. */
async function dropDirectly(writers: readonly Server[], schema: string): Promise<void> {
  for (const server of writers) {
    await sql(server, `SET lock_timeout = ${DROP_MS}; DROP SCHEMA IF EXISTS ${schema} CASCADE`).catch(
      (error: unknown) => {
        console.log(`${schema} stays on ${server.name}: ${String(error)}`);
      },
    );
  }
}

const DROP_MS = 5_000;
/** A case that has failed so often is not played to its end: each of these may have taken all of a deadline. */
const ENOUGH = 20;

interface Counts {
  committed: number;
  rolledBack: number;
  readonly errors: Map<string, number>;
  readonly examples: Map<string, string>;
  readonly unexpected: string[];
}

async function runClient(field: Field, played: Case, index: number, path: string, counts: Counts): Promise<void> {
  const dsn = field.dsns[index % field.dsns.length] ?? '';
  const open = async (): Promise<pg.Client> => {
    const client = await connect(dsn);
    for (const text of [path, ...(played.session?.(index) ?? [])]) await client.query(text);
    return client;
  };
  const random = new Random(SEED * 1000 + index + played.name.length * 7919);
  let client = await open();
  let lost = 0;
  for (let round = 0; round < field.rounds && counts.unexpected.length < ENOUGH; round += 1) {
    const commands = played.step(random, index, round);
    const endings = await runTransaction(client, played, commands, random);
    for (const ending of endings) note(played, ending, counts);
    const last = endings.at(-1);
    if (last?.kind === 'broken') {
      client.end().catch(() => undefined);
      // The case has failed by then; what hangs is to be told before the test's own time is over.
      lost += 1;
      if (lost === 2 || last.text.includes('read timeout')) return;
      client = await open();
    }
  }
  await client.end();
}

function note(played: Case, ending: Ending, counts: Counts): void {
  switch (ending.kind) {
    case 'committed':
      counts.committed += 1;
      return;
    case 'rolled back':
      counts.rolledBack += 1;
      return;
    case 'broken':
      counts.unexpected.push(ending.text);
      return;
    case 'error': {
      const name = ending.origin === 'follower' ? `${ending.code} follower` : ending.code;
      counts.errors.set(name, (counts.errors.get(name) ?? 0) + 1);
      if (!counts.examples.has(name)) counts.examples.set(name, ending.text);
      const allowed = ALWAYS_ALLOWED.has(ending.code) || played.expects?.includes(ending.code) === true;
      if (!allowed) counts.unexpected.push(ending.text);
    }
  }
}

/** Fails with the case, the seed, and what is wrong. */
export function assertEqualWriters({ case: played, committed, ...verdict }: Verdict): void {
  const wrong = [
    ...verdict.differences,
    ...[...new Set(verdict.unexpected)].slice(0, 5).map((text) => `unexpected: ${text}`),
    ...((played.mustCommit ?? 'yes') === 'yes' && committed === 0 ? ['nothing was committed'] : []),
  ];
  const examples = [...verdict.examples.values()].map((text) => `among its errors: ${text}`);
  assert.ok(
    wrong.length === 0,
    [`${played.name}, PPROX_TEST_SEED=${SEED}, ${committed} committed`, ...wrong, ...examples].join('\n  '),
  );
}
