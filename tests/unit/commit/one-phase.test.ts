/** Each point at which a server can fail in a commit, and what becomes of the transaction. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { CommitLeg, CommitOutcome, CommitRequest } from '../../../src/commit/coordinator.ts';
import { OnePhase } from '../../../src/commit/one-phase.ts';
import type { Log } from '../../../src/lib/log.ts';
import { type Answer, completes, type FakeServer, reply, startFakeServer } from '../backend/fake-server.ts';

const TIMEOUT_MS = 10_000;
const NO_DEFINITIONS: CommitRequest['definitions'] = {
  changes: 'nothing',
  sequences: { set: 'none', drawn: 'none' },
  agree: async () => undefined,
};
const silent: Log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

/** What a server does when it is asked for `text`; everything else succeeds. */
type Script = Readonly<Record<string, 'error' | 'answers ROLLBACK' | 'is lost' | 'is lost after it' | 'says nothing'>>;

function scripted(script: Script): Answer {
  return (text, session) => {
    const [what] = Object.entries(script).find(([key]) => text.startsWith(key)) ?? [];
    switch (what === undefined ? undefined : script[what]) {
      case 'error':
        session.send(reply.error('23503', `${text} failed`), reply.ready(text.startsWith('COMMIT') ? 'I' : 'E'));
        break;
      case 'answers ROLLBACK':
        session.send(reply.complete('ROLLBACK'), reply.ready());
        break;
      case 'is lost':
      case 'is lost after it':
        session.socket.destroy();
        break;
      case 'says nothing':
        break;
      default:
        completes(text, session);
    }
  };
}

/** A commit in one phase asks a server's node for its name alone. */
function nodeCalled(label: string): CommitLeg['node'] {
  const never = (): never => assert.fail('no other connection is made');
  return { label, identity: undefined, login: never, connect: never, health: { kind: 'unknown' } };
}

interface Run {
  readonly outcome: CommitOutcome;
  readonly lead: readonly string[];
  readonly followers: readonly (readonly string[])[];
}

async function run(
  scripts: { readonly lead?: Script; readonly followers?: readonly Script[] },
  request: Partial<CommitRequest> = {},
  timeoutMs = TIMEOUT_MS,
): Promise<Run> {
  const servers = await Promise.all(
    [scripts.lead ?? {}, ...(scripts.followers ?? [{}])].map((script) => startFakeServer(scripted(script))),
  );
  const legs: CommitLeg[] = [];
  for (const [index, server] of servers.entries()) {
    const backend = await server.connect();
    await backend.ask('BEGIN');
    legs.push({ node: nodeCalled(index === 0 ? 'lead' : `follower ${index}`), backend });
  }
  const [lead, ...followers] = legs;
  assert.ok(lead !== undefined);
  const plain = {
    lead,
    followers,
    chain: false,
    leadCommit: 'certain',
    writes: 'likely',
    deferred: 'none',
    definitions: NO_DEFINITIONS,
    position: undefined,
  } as const;
  const outcome = await new OnePhase(timeoutMs, silent).commit({ ...plain, ...request });
  for (const { backend } of legs) assert.ok(backend.idle || !backend.open, 'every leg is at rest');
  const said = (server: FakeServer | undefined): readonly string[] => server?.sessions[0]?.queries.slice(1) ?? [];
  return { outcome, lead: said(servers[0]), followers: servers.slice(1).map(said) };
}

describe('a commit in one phase', () => {
  test('asks whether anything has failed unseen where something is under way, and not of one server that has not written', async () => {
    const asked = async (writes: CommitRequest['writes']): Promise<readonly string[] | undefined> => {
      const server = await startFakeServer(completes);
      const backend = await server.connect();
      await backend.ask('BEGIN');
      void backend.ask('under way');
      const lead = { node: nodeCalled('lead'), backend };
      const shared = { chain: false, leadCommit: 'certain', deferred: 'none', position: undefined } as const;
      const request = { ...shared, lead, followers: [], writes, definitions: NO_DEFINITIONS };
      assert.equal((await new OnePhase(TIMEOUT_MS, silent).commit(request)).kind, 'committed');
      return server.sessions[0]?.queries.slice(1);
    };
    assert.deepEqual(await asked('likely'), ['under way', 'SELECT', 'COMMIT']);
    assert.deepEqual(await asked('to be asked'), ['under way', 'COMMIT']);
  });

  test('commits the followers, then the lead', async () => {
    const order: string[] = [];
    const noted =
      (name: string): Answer =>
      (text, session) => {
        if (text === 'COMMIT') order.push(name);
        completes(text, session);
      };
    const legs: CommitLeg[] = [];
    for (const name of ['lead', 'a', 'b']) {
      const backend = await (await startFakeServer(noted(name))).connect();
      legs.push({ node: nodeCalled(name), backend });
    }
    const [lead, ...followers] = legs;
    assert.ok(lead !== undefined);
    const request = {
      lead,
      followers,
      chain: false,
      leadCommit: 'certain',
      writes: 'likely',
      deferred: 'none',
      definitions: NO_DEFINITIONS,
      position: undefined,
    } as const;
    const outcome = await new OnePhase(TIMEOUT_MS, silent).commit(request);
    assert.equal(outcome.kind, 'committed');
    assert.equal(order.at(-1), 'lead');
    assert.deepEqual(order.toSorted(), ['a', 'b', 'lead']);
  });

  test('commits the lead first where its commit can still fail', async () => {
    const { outcome, lead, followers } = await run({}, { leadCommit: 'may fail' });
    assert.equal(outcome.kind, 'committed');
    assert.deepEqual([lead, followers], [['COMMIT'], [['COMMIT']]]);
    const refused = await run({ lead: { COMMIT: 'error' } }, { leadCommit: 'may fail' });
    assert.ok(refused.outcome.kind === 'refused by lead');
    assert.ok(refused.outcome.frames.at(-1)?.includes('COMMIT failed'), 'the lead’s own words');
    assert.deepEqual(refused.followers, [['ROLLBACK']]);
  });

  test('checks deferred constraints everywhere before anybody commits', async () => {
    const { outcome, lead, followers } = await run({}, { deferred: 'possible' });
    assert.equal(outcome.kind, 'committed');
    assert.deepEqual(lead, ['SET CONSTRAINTS ALL IMMEDIATE', 'COMMIT']);
    assert.deepEqual(followers, [['SET CONSTRAINTS ALL IMMEDIATE', 'COMMIT']]);
  });

  test('rolls back everywhere when a deferred constraint fails on the lead, in the lead’s words', async () => {
    const { outcome, lead, followers } = await run({ lead: { 'SET CONSTRAINTS': 'error' } }, { deferred: 'possible' });
    assert.ok(outcome.kind === 'refused by lead');
    assert.ok(outcome.frames.at(-1)?.includes('SET CONSTRAINTS ALL IMMEDIATE failed'));
    for (const said of [lead, ...followers]) assert.deepEqual(said, ['SET CONSTRAINTS ALL IMMEDIATE', 'ROLLBACK']);
  });

  test('rolls back everywhere when a deferred constraint fails on a follower', async () => {
    const { outcome, lead, followers } = await run(
      { followers: [{}, { 'SET CONSTRAINTS': 'error' }] },
      { deferred: 'possible' },
    );
    assert.ok(outcome.kind === 'rolled back');
    assert.equal(outcome.error.sqlstate, '23503');
    assert.match(outcome.error.detail ?? '', /^follower 2: ERROR 23503: SET CONSTRAINTS ALL IMMEDIATE failed$/m);
    for (const said of [lead, ...followers]) assert.equal(said.at(-1), 'ROLLBACK');
  });

  test('rolls back everywhere when a server is lost in the check', async () => {
    for (const scripts of [
      { lead: { 'SET CONSTRAINTS': 'is lost' } },
      { followers: [{ 'SET CONSTRAINTS': 'is lost' }] },
    ] as const) {
      const { outcome, lead, followers } = await run(scripts, { deferred: 'possible' });
      assert.ok(outcome.kind === 'rolled back');
      assert.equal(outcome.error.sqlstate, '08006');
      for (const said of [lead, ...followers]) assert.ok(!said.includes('COMMIT'));
    }
  });

  test('rolls the lead back when every follower has refused, and says what the follower said', async () => {
    const { outcome, lead } = await run({ followers: [{ COMMIT: 'error' }] });
    assert.ok(outcome.kind === 'rolled back');
    assert.deepEqual(lead, ['ROLLBACK']);
    assert.equal(outcome.error.sqlstate, '23503');
    assert.match(outcome.error.detail ?? '', /^follower 1: ERROR 23503: COMMIT failed$/m);
    assert.match(outcome.error.detail ?? '', /^lead: rolled back$/m);
  });

  test('takes a COMMIT that is answered with ROLLBACK for the refusal it is', async () => {
    const { outcome, lead } = await run({ followers: [{ COMMIT: 'answers ROLLBACK' }] });
    assert.ok(outcome.kind === 'rolled back');
    assert.deepEqual(lead, ['ROLLBACK']);
    assert.match(outcome.error.detail ?? '', /^follower 1: ROLLBACK where the lead did COMMIT$/m);
  });

  test('does not know the outcome when one follower has committed and another has not, and names each', async () => {
    const { outcome, lead } = await run({ followers: [{}, { COMMIT: 'error' }] });
    assert.ok(outcome.kind === 'unknown');
    assert.deepEqual(lead, ['ROLLBACK']);
    assert.equal(outcome.error.sqlstate, '08007');
    assert.deepEqual(outcome.error.detail?.split('\n'), [
      'lead: rolled back',
      'follower 1: committed',
      'follower 2: rolled back',
    ]);
  });

  test('does not know the outcome of a follower that is lost in its COMMIT', async () => {
    const { outcome, lead } = await run({ followers: [{ COMMIT: 'is lost' }] });
    assert.ok(outcome.kind === 'unknown');
    assert.deepEqual(lead, ['ROLLBACK']);
    assert.deepEqual(outcome.error.detail?.split('\n'), ['lead: rolled back', 'follower 1: unknown']);
  });

  test('does not know the outcome of a lead that is lost in its COMMIT, or refuses it behind the followers', async () => {
    const lost = await run({ lead: { COMMIT: 'is lost' } });
    assert.ok(lost.outcome.kind === 'unknown');
    assert.deepEqual(lost.outcome.error.detail?.split('\n'), ['lead: unknown', 'follower 1: committed']);
    const refused = await run({ lead: { COMMIT: 'error' } });
    assert.ok(refused.outcome.kind === 'unknown');
    assert.deepEqual(refused.outcome.error.detail?.split('\n'), ['lead: rolled back', 'follower 1: committed']);
  });

  test('does not know the outcome when a follower fails behind a lead that went first', async () => {
    const { outcome } = await run({ followers: [{ COMMIT: 'is lost' }] }, { leadCommit: 'may fail' });
    assert.ok(outcome.kind === 'unknown');
    assert.deepEqual(outcome.error.detail?.split('\n'), ['lead: committed', 'follower 1: unknown']);
  });

  test('gives up a server that says nothing, in every step', async () => {
    const silence: readonly { readonly step: string; readonly request: Partial<CommitRequest> }[] = [
      { step: 'SET CONSTRAINTS', request: { deferred: 'possible' } },
      { step: 'COMMIT', request: {} },
      { step: 'COMMIT', request: { leadCommit: 'may fail' } },
    ];
    for (const { step, request } of silence) {
      for (const scripts of [
        { lead: { [step]: 'says nothing' } },
        { followers: [{ [step]: 'says nothing' }] },
      ] as const) {
        const { outcome } = await run(scripts, request, 50);
        assert.ok(outcome.kind === 'unknown' || outcome.kind === 'rolled back', `${step} ${JSON.stringify(scripts)}`);
      }
    }
  });

  test('gives up a lead that says nothing to the ROLLBACK of a commit that failed', async () => {
    const { outcome } = await run({ lead: { ROLLBACK: 'says nothing' }, followers: [{ COMMIT: 'error' }] }, {}, 50);
    assert.equal(outcome.kind, 'rolled back');
  });

  test('forwards what the lead said in its COMMIT, and gives the position of the leg that was asked for', async () => {
    const lead = await startFakeServer((text, session) => {
      if (text.startsWith('COMMIT')) {
        session.send(
          reply.notice('note'),
          reply.complete('COMMIT'),
          reply.row('0/1A'),
          reply.complete('SELECT 1'),
          reply.ready(),
        );
      } else completes(text, session);
    });
    const backend = await lead.connect();
    const request = {
      followers: [],
      chain: false,
      leadCommit: 'certain',
      writes: 'likely',
      deferred: 'none',
      definitions: NO_DEFINITIONS,
    } as const;
    const outcome = await new OnePhase(TIMEOUT_MS, silent).commit({
      ...request,
      lead: { node: nodeCalled('lead'), backend },
      position: backend,
    });
    assert.ok(outcome.kind === 'committed');
    assert.equal(outcome.position, 0x1an);
    assert.ok(outcome.completion.includes('COMMIT'));
    assert.deepEqual(
      outcome.frames.map((frame) => String.fromCharCode(frame[0] ?? 0)),
      ['N'],
    );
  });

  test('chains the lead alone: a follower begins again when it is needed', async () => {
    const { outcome, lead, followers } = await run({}, { chain: true });
    assert.equal(outcome.kind, 'committed');
    assert.deepEqual([lead, followers], [['COMMIT AND CHAIN'], [['COMMIT']]]);
  });
});
