/** What recovery makes of a follower that knows nothing of a transaction which the lead has committed. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createLogin } from '../../../src/backend/login.ts';
import type { Identity } from '../../../src/cluster/identity.ts';
import type { CommitNode } from '../../../src/commit/coordinator.ts';
import { Decider } from '../../../src/commit/decider.ts';
import { formatGid } from '../../../src/commit/gid.ts';
import { PendingSet } from '../../../src/commit/pending.ts';
import { type Orphan, Recovery } from '../../../src/commit/recovery.ts';
import { PproxError } from '../../../src/lib/errors.ts';
import type { Log } from '../../../src/lib/log.ts';
import { type Answer, completes, reply, startFakeServer } from '../backend/fake-server.ts';

const home = { systemIdentifier: '7434012345678901234', databaseOid: '5' };
const id = '11111111-1111-8111-8111-111111111111';
const gid = formatGid({ home, id, follower: 0 });
const account = { user: 'u', database: 'd' };
const TIMEOUT_MS = 10_000;
const IDENTITY: Identity = {
  systemIdentifier: home.systemIdentifier,
  recovery: 'primary',
  timeline: 1,
  flushed: undefined,
  startedAt: undefined,
  version: 180_000,
  walSegmentBytes: 16n * 1024n * 1024n,
};

interface Seen {
  /** What the follower was asked. */
  readonly asked: readonly string[];
  /** What the operator was told the follower is, or lacks. */
  readonly found: readonly unknown[];
  readonly pending: number;
}

/** Handed over with its decision; the lead is not asked. */
async function recover(answer: Answer, xid: string | undefined): Promise<Seen> {
  const server = await startFakeServer(answer);
  const follower: CommitNode = {
    label: 'follower',
    identity: undefined,
    health: { kind: 'unknown' },
    login: (who) => createLogin(who.user, who.database, undefined, who.parameters),
    connect: () => server.connect(),
  };
  const never = (): never => assert.fail('the decision is known');
  const lead: CommitNode = {
    label: 'lead',
    identity: undefined,
    health: { kind: 'unknown' },
    login: never,
    connect: never,
  };
  const found: unknown[] = [];
  const log: Log = {
    debug: () => undefined,
    info: () => undefined,
    warn: () => undefined,
    error: (_message, fields) => found.push(fields?.['found']),
  };
  const pending = new PendingSet();
  pending.join(id);
  const times = { intervalMs: TIMEOUT_MS, graceMs: 0, alarmMs: TIMEOUT_MS, timeoutMs: TIMEOUT_MS };
  const decider = new Decider({ timeoutMs: TIMEOUT_MS, stuckMs: TIMEOUT_MS, log });
  const recovery = new Recovery({
    lead,
    followers: [follower],
    decider,
    account,
    pending,
    owns: () => true,
    ...times,
    log,
  });
  const gone = pending.gone();
  const part = { follower: 0, gid, account, xid };
  const orphan: Orphan = { home, id, account, decision: 'commit', followers: [part] };
  recovery.handOver(orphan);
  await gone;
  recovery.close();
  const asked = server.sessions
    .flatMap(({ queries }) => queries)
    .filter((text) => text.includes('PREPARED') || text.includes('status'));
  return { asked, found, pending: pending.size };
}

/** COMMIT PREPARED finds nothing; `status` is what its xid has become. */
function knows(status: string | undefined): Answer {
  return (text, session) => {
    if (text.startsWith('COMMIT PREPARED')) session.send(reply.error('42704', 'nothing of that name'), reply.ready());
    else if (!text.includes('pg_xact_status')) completes(text, session);
    else if (status === undefined) session.send(reply.error('22023', 'is in the future'), reply.ready());
    else session.send(reply.row(status), reply.complete('SELECT 1'), reply.ready());
  };
}

describe('a follower that knows nothing of a committed transaction', () => {
  const asked = [`COMMIT PREPARED '${gid}'`, "SELECT pg_catalog.pg_xact_status('77')"];

  test('has committed it where its xid says so', async () => {
    assert.deepEqual(await recover(knows('committed'), '77'), { asked, found: [], pending: 0 });
  });

  test('is named to the operator where its xid was rolled back', async () => {
    assert.deepEqual(await recover(knows('aborted'), '77'), { asked, found: ['rolled back'], pending: 0 });
  });

  test('is named where nothing proves it: the xid is not known, here or there', async () => {
    assert.deepEqual(await recover(knows(undefined), '77'), { asked, found: ['no proof'], pending: 0 });
    const unknown = await recover(knows('committed'), undefined);
    assert.deepEqual(unknown, { asked: asked.slice(0, 1), found: ['no proof'], pending: 0 });
  });
});

test('what cannot be ended is told with how far it holds back VACUUM, where its follower says so', async () => {
  let silence: 'no' | 'yes' = 'no';
  const server = await startFakeServer((text, session) => {
    if (text.includes('pg_prepared_xacts'))
      session.send(
        reply.row(gid, account.user, account.database, '1000', '77', '42'),
        reply.complete('SELECT 1'),
        reply.ready(),
      );
    else completes(text, session);
  });
  const login: CommitNode['login'] = (who) => createLogin(who.user, who.database, undefined, who.parameters);
  const away = (): Promise<never> => Promise.reject(new PproxError('server_unreachable', { message: 'away' }));
  const follower: CommitNode = {
    label: 'follower',
    identity: undefined,
    health: { kind: 'unknown' },
    login,
    connect: () => (silence === 'yes' ? away() : server.connect()),
  };
  const lead: CommitNode = { label: 'lead', identity: IDENTITY, health: { kind: 'unknown' }, login, connect: away };
  for (const hold of [42, 'unknown']) {
    const told: unknown[] = [];
    const nothing = (): undefined => undefined;
    const log: Log = { debug: nothing, info: nothing, warn: nothing, error: (_event, fields) => told.push(fields) };
    const recovery = new Recovery({
      lead,
      followers: [follower],
      decider: new Decider({ timeoutMs: TIMEOUT_MS, stuckMs: TIMEOUT_MS, log }),
      account,
      pending: new PendingSet(),
      owns: () => true,
      intervalMs: TIMEOUT_MS,
      graceMs: 0,
      alarmMs: 0,
      timeoutMs: 500,
      log,
    });
    recovery.handOver({
      home,
      id,
      account,
      decision: undefined,
      followers: [{ follower: 0, gid, account, xid: '77' }],
    });
    while (told.length === 0) await recovery.look();
    assert.deepEqual(told, [{ gids: gid, vacuumHold: hold }]);
    recovery.close();
    silence = 'yes';
  }
});
