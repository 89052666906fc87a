/**
 * What two-phase commit costs with no proxy in between: a client that does by hand, for one transaction it knows, what pprox does
 * for any. The same messages in the same order (docs/adr/0014, 0015), on connections of its own to both writers:
 *
 *   lead        BEGIN, UPDATE … ─────────── decision ─► COMMIT ─►
 *   follower      BEGIN, UPDATE … (behind) ─ PREPARE ─┘          COMMIT PREPARED ─► next
 *
 * It reads no SQL, compares nothing, waits at no barrier and could not recover.
 */
import { connectBackend } from '../src/backend/connect.ts';
import type { Backend } from '../src/backend/backend.ts';
import { type Answer, Collector } from '../src/backend/receiver.ts';
import { CommitReceiver } from '../src/commit/commit-receiver.ts';
import { finishText } from '../src/commit/decisions.ts';
import { formatGid, TransactionIds } from '../src/commit/gid.ts';
import { encodeDecision, encodePrepare } from '../src/commit/own-messages.ts';
import type { Place } from './subjects.ts';
import type { Run } from './pgbench.ts';

/** `statements`: a transaction's; more than one are in a block of the client's own. */
export interface Script {
  readonly statements: () => readonly string[];
}

export interface Load {
  readonly clients: number;
  /** How long, or how many transactions all in all. */
  readonly until: { readonly seconds: number } | { readonly transactions: number };
}

const CONNECT_MS = 5000;

/** Rejects where a statement fails. */
export async function runByHand(
  { lead, follower }: { readonly lead: Place; readonly follower: Place },
  database: string,
  script: Script,
  load: Load,
): Promise<Run> {
  const ids = new TransactionIds();
  const clients = await Promise.all(
    Array.from(
      { length: load.clients },
      async () => [await open(lead, database), await open(follower, database)] as const,
    ),
  );
  const started = performance.now();
  let transactions = 0;
  const goOn = (): boolean =>
    'seconds' in load.until
      ? performance.now() - started < load.until.seconds * 1000
      : transactions < load.until.transactions;
  await Promise.all(
    clients.map(async ([first, second]) => {
      while (goOn()) {
        transactions++;
        await transaction(first, second, script.statements(), ids.next());
      }
    }),
  );
  const seconds = (performance.now() - started) / 1000;
  for (const backend of clients.flat()) backend.close('idle');
  return { transactions, tps: transactions / seconds, latencyMs: (1000 * seconds * load.clients) / transactions };
}

async function transaction(lead: Backend, follower: Backend, statements: readonly string[], id: string): Promise<void> {
  const gid = formatGid({ home: { systemIdentifier: '1', databaseOid: lead.databaseOid || '1' }, id, follower: 0 });
  const begun = lead.ask('BEGIN');
  // A client that begins waits for it; an autocommit statement goes with it.
  if (statements.length > 1) await good(begun);
  const behind = [good(follower.ask('BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL lock_timeout = 5000'))];
  for (const text of statements) {
    await good(lead.ask(text));
    behind.push(good(follower.ask(text)));
  }
  await good(begun);
  await Promise.all(behind);
  const prepared = new Collector();
  follower.send(encodePrepare(follower.prepared, gid, 'none'), prepared);
  await good(prepared.reply);
  const decided = new CommitReceiver();
  lead.send(
    encodeDecision(lead.prepared, {
      id,
      end: 'commit',
      position: 'not asked for',
      process: id,
      edition: undefined,
      changes: 'nothing',
      sequences: { set: 'none', drawn: 'none' },
    }),
    decided,
  );
  const { tag } = await decided.reply;
  if (tag !== 'COMMIT') throw new Error('the lead has not committed');
  await good(follower.ask(finishText(gid, 'commit')));
}

async function good(asked: Promise<Answer>): Promise<void> {
  const { error } = await asked;
  if (error !== undefined) throw new Error(`${error.code}: ${error.message}`);
}

function open(place: Place, database: string): Promise<Backend> {
  const parameters = new Map([
    ['user', 'postgres'],
    ['database', database],
  ]);
  return connectBackend(
    { address: place, user: 'postgres', password: undefined, parameters, keepAliveMs: undefined },
    CONNECT_MS,
  );
}
