/**
 * What a client gets of the answers to its messages and ours, against what PostgreSQL alone would have sent it for its own.
 * `PPROX_TEST_RUNS` tries more requests, `PPROX_TEST_SEED` others.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Backend } from '../../../src/backend/backend.ts';
import { closeStatements } from '../../../src/backend/statement-closing.ts';
import { ClientLink } from '../../../src/session/client-link.ts';
import { Relay } from '../../../src/session/relay.ts';
import { ReplyScript } from '../../../src/session/reply-script.ts';
import { RowLimit } from '../../../src/session/row-limit.ts';
import { frame, query } from '../../support/frontend-messages.ts';
import { sampling } from '../../support/sampling.ts';
import { reply } from '../backend/fake-server.ts';
import { FakeSocket } from '../backend/fake-socket.ts';
import {
  type Aside,
  asideFrame,
  asides,
  messageFrames,
  refusal,
  row,
  type Run,
  runs,
  told,
} from '../backend/reply-model.ts';

type Entry =
  | { readonly kind: 'parse' | 'bind' | 'close'; readonly whose: 'client' | 'us' }
  | {
      readonly kind: 'describe statement';
      readonly whose: 'client' | 'us' | 'both';
      readonly result: 'rows' | 'no rows';
    }
  | {
      readonly kind: 'describe portal';
      readonly whose: 'client';
      readonly told: 'as it comes' | 'at once';
      readonly result: 'rows' | 'no rows';
    }
  /** A message of the client's that we answer. */
  | { readonly kind: 'say' }
  | { readonly kind: 'execute'; readonly whose: 'client'; readonly run: Run };

interface Segment {
  readonly entries: readonly Entry[];
  /** Of the entries, the one that the server refuses. */
  readonly failsAt: number | undefined;
  readonly code: '42601' | '25006';
  readonly asides: readonly { readonly at: number; readonly aside: Aside }[];
  /** Statements of ours that are closed in front of it. */
  readonly closings: number;
  readonly completion: 'forward' | 'hold';
  readonly refusals: 'withhold' | undefined;
}

/** What the server sends, and whether the client should see it; `later`: at the end of its query. */
interface Said {
  readonly bytes: Buffer;
  readonly fate: 'client' | 'nobody' | 'later' | 'description';
  readonly by: 'server' | 'us';
}

/** The conversation as it should go. */
interface Score {
  readonly said: Said[];
  readonly failed: 'no' | 'yes';
  readonly refused: number;
}

function score({ entries, failsAt, code, asides: between }: Segment, mark: string): Score {
  const said: Said[] = [];
  let failed: Score['failed'] = 'no';
  let refused = 0;
  for (const [at, entry] of entries.entries()) {
    if (entry.kind === 'say') {
      said.push({ bytes: sayingOf(at), fate: 'client', by: 'us' });
      continue;
    }
    if (at === failsAt) {
      said.push({ bytes: refusal(code), fate: 'client', by: 'server' });
      failed = 'yes';
      refused = isRefusable(entry) ? 1 : 0;
      break;
    }
    const fate = entry.whose === 'us' ? 'nobody' : 'client';
    const frames = messageFrames(`${mark}.${at}`, entry);
    said.push(...frames.map((bytes) => ({ bytes, fate, by: 'server' }) as const));
    if (entry.kind === 'execute' && entry.run.end === 'error') {
      failed = 'yes';
      break;
    }
  }
  for (const { at, aside } of between) {
    // What we say has its turn at once, so nothing of the server's comes in front of it.
    let place = at % (said.length + 1);
    while (said[place]?.by === 'us') place++;
    const fate = aside.kind === 'notice' ? 'client' : aside.kind === 'notification' ? 'later' : 'nobody';
    said.splice(place, 0, { bytes: asideFrame(aside), fate, by: 'server' });
  }
  return { said, failed, refused };
}

function sayingOf(at: number): Buffer {
  return frame('N', Buffer.from(`said by us ${at}\0`));
}

function isRefusable(entry: Entry): boolean {
  if (entry.kind === 'describe portal') return entry.told === 'as it comes';
  return entry.kind !== 'say' && entry.kind !== 'execute' && entry.whose === 'client';
}

/** The script as a request writes it; `events` counts what the request is told. */
function scriptOf(entries: readonly Entry[], events: { refused: number; kept: Buffer[] }): ReplyScript {
  const script = new ReplyScript();
  const refused = (): void => {
    events.refused++;
  };
  for (const [at, entry] of entries.entries()) {
    if (entry.kind === 'say') script.add({ kind: 'say', frame: () => sayingOf(at) });
    else if (entry.kind === 'execute') script.add({ kind: 'rows' });
    else if (entry.whose === 'us' && entry.kind !== 'describe statement') script.add({ kind: 'swallow' });
    else if (entry.kind === 'describe portal' && entry.told === 'at once')
      script.add({ kind: 'forward portal', told: 'at once' });
    else if (entry.kind === 'describe statement') {
      const { whose } = entry;
      for (let count = 0; count < 2; count++)
        if (whose === 'client') script.add({ kind: 'forward', refused });
        else script.add({ kind: 'keep', for: whose, after: (bytes) => events.kept.push(bytes) });
    } else script.add({ kind: 'forward', refused });
  }
  return script;
}

/** One client behind one server, with no network. */
class Bench {
  readonly server = new FakeSocket();
  readonly client = new FakeSocket();
  readonly backend: Backend;
  readonly link: ClientLink;

  constructor() {
    const address = { host: 'server', port: 1 };
    this.backend = new Backend({ socket: this.server, encryption: undefined }, address, undefined);
    this.link = new ClientLink(this.client, Buffer.alloc(0), 1024 * 1024);
    this.backend.start(
      { address, user: 'u', password: undefined, parameters: new Map(), keepAliveMs: undefined },
      () => undefined,
      () => assert.fail('the start-up is accepted'),
    );
    this.server.arrive(Buffer.concat([reply.authenticationOk, frame('K', Buffer.alloc(8)), reply.ready()]));
    this.client.slow();
  }

  /** The server's bytes in pieces; where nobody reads, the client takes what it has been sent. */
  deliver(bytes: Buffer, cuts: readonly number[]): void {
    for (let at = 0, turn = 0; at < bytes.length; turn++) {
      if (this.server.reading === 'no') {
        assert.ok(this.client.queued <= BOUND_BYTES, 'what waits for a slow client is bounded');
        this.client.drain();
        assert.equal(this.server.reading, 'yes', 'the server is read again');
      }
      const size = cuts[turn % cuts.length] ?? 1;
      this.server.arrive(Buffer.from(bytes.subarray(at, at + size)));
      at += size;
    }
  }
}

/** What may wait in a socket, and one read behind it. */
const BOUND_BYTES = (256 + 64 + 1) * 1024;
const ANY_QUERY = query('what is asked does not matter here');

const result = fc.constantFrom('rows' as const, 'no rows' as const);
const entry: fc.Arbitrary<Entry> = fc.oneof(
  fc.record({
    kind: fc.constantFrom('parse' as const, 'bind' as const, 'close' as const),
    whose: fc.constantFrom('client' as const, 'us' as const),
  }),
  fc.record({
    kind: fc.constant('describe statement' as const),
    whose: fc.constantFrom('client' as const, 'us' as const, 'both' as const),
    result,
  }),
  fc.record({
    kind: fc.constant('describe portal' as const),
    whose: fc.constant('client' as const),
    told: fc.constantFrom('as it comes' as const, 'at once' as const),
    result,
  }),
  fc.constant({ kind: 'say' as const }),
);
const execute: fc.Arbitrary<Entry> = fc.record({
  kind: fc.constant('execute' as const),
  whose: fc.constant('client' as const),
  run: runs(['complete', 'complete', 'empty', 'suspended', 'error', 'copy out']),
});

function segment(entries: fc.Arbitrary<readonly Entry[]>, completion: 'forward' | 'hold'): fc.Arbitrary<Segment> {
  return fc.record({
    entries,
    failsAt: fc.option(fc.nat(6), { nil: undefined, freq: 2 }),
    code: fc.constantFrom('42601' as const, '25006' as const),
    asides,
    closings: fc.nat(2),
    completion: fc.constant(completion),
    refusals: fc.constantFrom('withhold' as const, undefined),
  });
}

const pieces = fc.array(entry, { maxLength: 5 });
/** A held completion is the last answer of its request. */
const conversation = fc.array(
  fc.oneof(
    segment(
      fc.array(fc.oneof({ weight: 4, arbitrary: entry }, { weight: 1, arbitrary: execute }), { maxLength: 7 }),
      'forward',
    ),
    segment(
      fc.tuple(pieces, execute).map(([before, last]) => [...before, last]),
      'hold',
    ),
  ),
  { minLength: 1, maxLength: 3 },
);
const cuts = fc.array(
  fc.oneof(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 10, max: 400 }), fc.constant(65_536)),
  { minLength: 1, maxLength: 6 },
);
/** Of long replies. */
const LAST_CUT = 65_536;

function shown(bytes: Buffer): string[] {
  const found: string[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = at + 1 + (at + 5 <= bytes.length ? bytes.readInt32BE(at + 1) : bytes.length);
    found.push(`${end - at} ${bytes.toString('latin1', at, Math.min(end, at + 60))}`);
    at = end;
  }
  return found;
}

test('a client gets the answers to its own messages, as PostgreSQL gives them, wherever they are cut and however slowly it reads', async () => {
  await fc.assert(
    fc.asyncProperty(conversation, cuts, async (parts, sizes) => {
      const bench = new Bench();
      for (const [at, part] of parts.entries()) {
        const { said, failed, refused } = score(part, String(at));
        const before = bench.client.bytes.length;
        const events = { refused: 0, kept: [] as Buffer[] };
        const names = Array.from({ length: part.closings }, (_, number) => `s${number}`);
        const closed = closeStatements(bench.backend, names);
        const { completion, refusals } = part;
        const relay = new Relay(bench.link, bench.backend, {
          completion,
          refusals,
          replies: scriptOf(part.entries, events),
        });
        bench.backend.send(ANY_QUERY, relay);
        const closings = [...names.map(() => told.closed), reply.ready()];
        const frames = said.filter(({ by }) => by === 'server').map(({ bytes }) => bytes);
        bench.deliver(Buffer.concat([...closings, ...frames, reply.ready()]), [...sizes, LAST_CUT]);
        await closed;
        const { error, held } = await relay.result;
        assert.equal(error === undefined, failed === 'no');
        if (completion === 'forward') assert.equal(held, undefined);
        assert.equal(events.refused, refused, 'a message that is refused is told so once');
        if (held !== undefined) bench.link.send(held);
        bench.link.sendDeferred();
        const later = said.filter(({ fate }) => fate === 'later');
        const now = said.filter(({ fate }) => fate === 'client');
        const withheld = refusals === 'withhold' && error?.code === '25006' && relay.forwarded === 'nothing';
        const expected = [...(withheld ? [] : now), ...later].map(({ bytes }) => bytes);
        assert.deepEqual(shown(bench.client.bytes.subarray(before)), shown(Buffer.concat(expected)));
      }
      assert.ok(bench.backend.idle);
    }),
    sampling(300),
  );
});

test('the answer to a Query that is an EXECUTE has its description in front of its rows, whatever notices come', async () => {
  await fc.assert(
    fc.asyncProperty(runs(['complete', 'error']), asides, cuts, async (run, between, sizes) => {
      const bench = new Bench();
      const script = new ReplyScript();
      script.add({ kind: 'swallow' });
      script.add({ kind: 'forward portal', told: 'with rows' });
      script.add({ kind: 'rows' });
      const relay = new Relay(bench.link, bench.backend, { completion: 'forward', replies: script });
      bench.backend.send(ANY_QUERY, relay);
      const frames = [told.bound, told.columns, ...messageFrames('0', { kind: 'execute', run })];
      for (const { at, aside } of between)
        if (aside.kind === 'notice') frames.splice(at % (frames.length + 1), 0, asideFrame(aside));
      bench.deliver(Buffer.concat([...frames, reply.ready()]), [...sizes, LAST_CUT]);
      await relay.result;
      // An error in place of all rows needs no description.
      const at = frames.indexOf(told.columns);
      const bare = frames[at + 1]?.[0] === 'E'.charCodeAt(0);
      const expected = frames.filter((bytes) => bytes !== told.bound && !(bare && bytes === told.columns));
      assert.deepEqual(shown(bench.client.bytes), shown(Buffer.concat(expected)));
    }),
    sampling(200),
  );
});

test('rows that a client has not asked for yet come in the portions that PostgreSQL gives', () => {
  fc.assert(
    fc.property(
      fc.nat(12),
      fc.integer({ min: 1, max: 5 }),
      fc.array(fc.nat(5), { maxLength: 5 }),
      (count, first, next) => {
        const rows = Array.from({ length: count }, (_, at) => row(String(at), 4));
        const limit = new RowLimit(first);
        const given = rows.filter((bytes) => limit.admit(bytes));
        limit.completion = reply.complete(`SELECT ${count}`);
        assert.deepEqual(given, rows.slice(0, first));
        assert.equal(limit.suspended, count >= first);
        let left = rows.slice(first);
        for (const asked of next) {
          const portion = asked === 0 ? left : left.slice(0, asked);
          left = left.slice(portion.length);
          const end = asked > 0 && portion.length === asked ? 'suspended' : reply.complete(`SELECT ${portion.length}`);
          assert.deepEqual(limit.take(asked), { rows: portion, end });
        }
      },
    ),
    sampling(300),
  );
});

async function answered(
  fates: readonly Parameters<ReplyScript['add']>[0][],
  frames: readonly Buffer[],
): Promise<string[]> {
  const bench = new Bench();
  const replies = new ReplyScript();
  for (const fate of fates) replies.add(fate);
  const relay = new Relay(bench.link, bench.backend, { completion: 'forward', replies });
  bench.backend.send(ANY_QUERY, relay);
  bench.deliver(Buffer.concat([...frames, reply.ready()]), [LAST_CUT]);
  await relay.result;
  return shown(bench.client.bytes);
}

test('a notice in front of a description does not put the description behind its rows', async () => {
  const notice = reply.notice('while it is planned');
  const rows = [row('x', 1), reply.complete('SELECT 1')];
  const script = [{ kind: 'swallow' }, { kind: 'forward portal', told: 'with rows' }, { kind: 'rows' }] as const;
  const seen = await answered(script, [notice, told.bound, told.columns, ...rows]);
  assert.deepEqual(seen, shown(Buffer.concat([notice, told.columns, ...rows])));
});

test('what we answer in front of an Execute without rows does not take the place of the answers behind it', async () => {
  const script = [{ kind: 'say', frame: () => told.closed }, { kind: 'rows' }, { kind: 'forward' }] as const;
  const seen = await answered(script, [reply.complete('INSERT 0 0'), told.parsed]);
  assert.deepEqual(seen, shown(Buffer.concat([told.closed, reply.complete('INSERT 0 0'), told.parsed])));
});

test('a client that reads slowly gets every row, and its server is read again each time that it has', async () => {
  const sizes = fc.array(fc.integer({ min: 60_000, max: 140_000 }), { minLength: 6, maxLength: 10 });
  await fc.assert(
    fc.asyncProperty(sizes, fc.integer({ min: 20_000, max: 65_536 }), async (rows, cut) => {
      const bench = new Bench();
      const relay = new Relay(bench.link, bench.backend, { completion: 'forward' });
      bench.backend.send(ANY_QUERY, relay);
      const frames = messageFrames('0', { kind: 'execute', run: { sizes: rows, end: 'complete' } });
      bench.deliver(Buffer.concat([...frames, reply.ready()]), [cut]);
      await relay.result;
      assert.ok(bench.client.queued < Buffer.concat(frames).length, 'it was waited for');
      assert.ok(bench.client.bytes.equals(Buffer.concat(frames)));
    }),
    sampling(20),
  );
});
