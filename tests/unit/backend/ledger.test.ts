/**
 * The replies that a server owes, against a model of them: whoever asked is given its own reply, whole and once, or is
 * told once that it will not come. `PPROX_TEST_RUNS` tries more programs, `PPROX_TEST_SEED` others.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Backend } from '../../../src/backend/backend.ts';
import type { Lost, Receiver } from '../../../src/backend/receiver.ts';
import { unreachable } from '../../../src/lib/assert.ts';
import { Watch, type WatchTable } from '../../../src/wire/frame-scan.ts';
import { frame, query } from '../../support/frontend-messages.ts';
import { sampling } from '../../support/sampling.ts';
import { reply } from './fake-server.ts';
import { FakeSocket } from './fake-socket.ts';
import { type Aside, aside, asideFrame, replyFrames, type Request, request } from './reply-model.ts';

/** One who asks: for what, what it wants to see of the reply, and what it asks for at once when it has it. */
interface Asker {
  readonly request: Request;
  readonly watch: readonly Watch[];
  readonly next: Request | undefined;
}

type Step =
  | { readonly kind: 'ask'; readonly asker: Asker }
  | { readonly kind: 'deliver'; readonly bytes: number }
  | { readonly kind: 'aside'; readonly aside: Aside }
  | { readonly kind: 'brake' | 'release' };

const SETTABLE = '123nIscdGHtTDC';
const ASYNC = 'NA';

function watchOf(watches: readonly Watch[]): WatchTable {
  const table = new Uint8Array(256);
  for (const [at, tag] of Array.from(SETTABLE).entries()) table[tag.charCodeAt(0)] = watches[at] ?? Watch.pass;
  for (const [at, tag] of Array.from(ASYNC).entries())
    table[tag.charCodeAt(0)] = watches[SETTABLE.length + at] === Watch.pass ? Watch.pass : Watch.take;
  return table;
}

/** Keeps all it is given, and judges the form of it. */
class Recorder implements Receiver {
  readonly watch: WatchTable;
  readonly given: Buffer[] = [];
  readonly tapped: Buffer[] = [];
  readonly ends: (
    | { readonly kind: 'ready'; readonly status: string }
    | { readonly kind: 'lost'; readonly lost: Lost }
  )[] = [];
  readonly #ended: () => void;

  constructor(watch: WatchTable, ended: () => void) {
    this.watch = watch;
    this.#ended = ended;
  }

  run(chunk: Buffer, start: number, end: number): void {
    this.#keep(chunk, start, end);
  }

  take(tag: number, chunk: Buffer, start: number, end: number): void {
    assert.equal(chunk[start], tag, 'the type of what is taken');
    assert.equal(chunk.readInt32BE(start + 1) + 1, end - start, 'what is taken is one whole message');
    this.#keep(chunk, start, end);
  }

  tap(tag: number, chunk: Buffer, start: number, end: number): void {
    assert.equal(this.watch[tag], Watch.tap, 'what is tapped was asked for');
    this.tapped.push(Buffer.from(chunk.subarray(start, end)));
  }

  flush(): void {
    assert.equal(this.ends.length, 0, 'nothing comes behind the end of a reply');
  }

  ready(status: number): void {
    this.ends.push({ kind: 'ready', status: String.fromCharCode(status) });
    this.#ended();
  }

  lost(lost: Lost): void {
    this.ends.push({ kind: 'lost', lost });
    this.#ended();
  }

  #keep(chunk: Buffer, start: number, end: number): void {
    assert.equal(this.ends.length, 0, 'nothing comes behind the end of a reply');
    assert.ok(end > start, 'no empty run');
    this.given.push(Buffer.from(chunk.subarray(start, end)));
  }
}

interface Owed {
  readonly asker: Asker;
  readonly recorder: Recorder;
  /** Whole messages that have been delivered for it. */
  readonly expected: Buffer[];
  outcome: 'owed' | 'complete' | 'lost';
  /** Who asks in its place when it has its reply. */
  next: Owed | undefined;
}

interface Sent {
  readonly bytes: Buffer;
  readonly kind: 'reply' | 'ready' | Aside;
}

const WELCOME = Buffer.concat([
  reply.authenticationOk,
  reply.parameter('client_encoding', 'UTF8'),
  frame('K', Buffer.from([0, 0, 0, 7, 1, 2, 3, 4])),
  reply.ready(),
]);

const ANY_QUERY = query('what is asked does not matter here');

/** A backend, its server's bytes on their way, and the model of who is owed what. */
class World {
  readonly socket = new FakeSocket();
  readonly backend: Backend;
  readonly owed: Owed[] = [];
  /** As they ended. */
  readonly ended: Recorder[] = [];
  readonly closings: Lost[] = [];
  readonly #heard: Buffer[] = [];
  readonly #expectedHeard: Buffer[] = [];
  readonly #wire: Sent[] = [];
  /** Bytes of the first message on the wire that have been delivered. */
  #delivered = 0;
  #status = 'I';
  #setting: string | undefined;
  #changes = 0;
  readonly #versionAtFirst: number;

  constructor() {
    this.backend = new Backend({ socket: this.socket, encryption: undefined }, { host: 'server', port: 1 }, undefined);
    this.backend.start(
      { address: this.backend.address, user: 'u', password: undefined, parameters: new Map(), keepAliveMs: undefined },
      () => undefined,
      () => assert.fail('the start-up is accepted'),
    );
    this.socket.arrive(Buffer.from(WELCOME));
    assert.ok(this.backend.idle, 'the start-up is over');
    this.#versionAtFirst = this.backend.parametersVersion;
    this.backend.listener = { asyncMessage: (_tag, bytes) => this.#heard.push(bytes) };
    this.backend.onClosed = (lost) => {
      assert.ok(
        this.owed.every(({ recorder }) => recorder.ends.length === 1),
        'everybody was told before',
      );
      this.closings.push(lost);
    };
  }

  /** Bytes that the server has sent and nobody has read. */
  get undelivered(): number {
    return this.#wire.reduce((sum, { bytes }) => sum + bytes.length, 0) - this.#delivered;
  }

  /** Bytes of the message in hand that are still to come. */
  get remaining(): number {
    return this.#delivered === 0 ? 0 : (this.#wire[0]?.bytes.length ?? 0) - this.#delivered;
  }

  get waiting(): readonly Owed[] {
    return this.owed.filter(({ outcome }) => outcome === 'owed');
  }

  play(steps: readonly Step[]): void {
    for (const step of steps) {
      if (step.kind === 'ask') this.ask(step.asker);
      else if (step.kind === 'aside') this.#wire.push({ bytes: asideFrame(step.aside), kind: step.aside });
      else if (step.kind === 'deliver') this.deliver(step.bytes);
      else if (step.kind === 'brake') this.backend.channel.brake('receiver slow');
      else this.backend.channel.release('receiver slow');
    }
  }

  ask(asker: Asker): void {
    this.backend.send(ANY_QUERY, this.#expect(asker).recorder);
  }

  #expect(asker: Asker): Owed {
    const mark = String(this.owed.length);
    const recorder = new Recorder(watchOf(asker.watch), () => {
      this.ended.push(recorder);
      if (owed.next !== undefined) this.backend.send(ANY_QUERY, owed.next.recorder);
      else if (owed.outcome === 'lost') this.assertClosed();
    });
    const owed: Owed = { asker, recorder, expected: [], outcome: 'owed', next: undefined };
    this.owed.push(owed);
    for (const bytes of replyFrames(mark, asker.request)) this.#wire.push({ bytes, kind: 'reply' });
    this.#wire.push({ bytes: reply.ready(asker.request.status), kind: 'ready' });
    return owed;
  }

  /** One read of the socket, unless it is not read now. */
  deliver(count: number): void {
    if (this.socket.reading === 'no' || this.undelivered === 0) return;
    const chunk = Buffer.concat(this.#wire.map(({ bytes }) => bytes)).subarray(
      this.#delivered,
      this.#delivered + count,
    );
    this.#delivered += chunk.length;
    for (let sent = this.#wire[0]; sent !== undefined && this.#delivered >= sent.bytes.length; sent = this.#wire[0]) {
      this.#wire.shift();
      this.#delivered -= sent.bytes.length;
      this.#arrived(sent);
    }
    this.socket.arrive(Buffer.from(chunk));
  }

  /** The model's step: a whole message is there. */
  #arrived({ bytes, kind }: Sent): void {
    const [first] = this.waiting;
    if (bytes[0] === PARAMETER_STATUS) {
      const value = bytes.toString('latin1', bytes.indexOf(0, HEADER) + 1, bytes.length - 1);
      if (value !== this.#setting) this.#changes++;
      this.#setting = value;
    }
    if (kind === 'ready') {
      assert.ok(first !== undefined, 'the model’s server answers what it was asked');
      first.outcome = 'complete';
      this.#status = first.asker.request.status;
      if (first.asker.next !== undefined)
        first.next = this.#expect({ ...first.asker, request: first.asker.next, next: undefined });
    } else if (first === undefined) this.#expectedHeard.push(bytes);
    else first.expected.push(bytes);
  }

  deliverAll(sizes: readonly number[]): void {
    this.backend.channel.release('receiver slow');
    for (let at = 0; this.undelivered > 0; at++) this.deliver(sizes[at % sizes.length] ?? this.undelivered);
  }

  /** What the connection itself has to know. */
  assertKnown(): void {
    assert.deepEqual(this.#heard.map(shown), this.#expectedHeard.map(shown), 'what nobody asked for is the listener’s');
    assert.equal(this.backend.parameters.get('application_name'), this.#setting);
    assert.equal(this.backend.parametersVersion, this.#versionAtFirst + this.#changes);
    assert.equal(String.fromCharCode(this.backend.status), this.#status, 'the status of the last reply');
    assert.deepEqual(
      this.ended.map((recorder) => this.#place(recorder)),
      [...this.ended.keys()],
      'the replies end in their order',
    );
  }

  #place(recorder: Recorder): number {
    return this.owed.findIndex((owed) => owed.recorder === recorder);
  }

  assertReplies(): void {
    for (const { recorder, expected, outcome, asker } of this.owed) {
      const given = Buffer.concat(recorder.given);
      const whole = Buffer.concat(expected);
      if (outcome === 'complete') {
        assert.deepEqual(frames(given), expected.map(shown), 'its own reply, whole, in order, once');
        assert.deepEqual(recorder.ends, [{ kind: 'ready', status: asker.request.status }]);
      } else {
        // Of the message that broke off it may have had a part, and of no other.
        assert.ok(whole.equals(given.subarray(0, whole.length)), 'what has come of its reply');
        const part = given.subarray(whole.length);
        assert.ok(part.length <= this.#delivered, 'nothing that has not come');
        assert.ok(this.#wire[0]?.bytes.subarray(0, part.length).equals(part) ?? part.length === 0, 'its next message');
      }
      const tapped = expected.filter(([tag = 0]) => recorder.watch[tag] === Watch.tap);
      const seen = Buffer.concat(recorder.tapped);
      const all = Buffer.concat(tapped);
      assert.ok(all.equals(outcome === 'complete' ? seen : seen.subarray(0, all.length)), 'what it taps');
    }
  }

  /** A closed connection says so at once to who still asks. */
  assertClosed(): void {
    const late = new Recorder(watchOf([]), () => undefined);
    this.backend.send(ANY_QUERY, late);
    assert.deepEqual(
      late.ends.map(({ kind }) => kind),
      ['lost'],
      'a request behind the loss fails at once',
    );
  }

  assertLost(reason: Lost['reason'], fatal: string | undefined): void {
    for (const { recorder, outcome } of this.owed) {
      assert.deepEqual(
        recorder.ends.map(({ kind }) => kind),
        [outcome === 'complete' ? 'ready' : 'lost'],
        'each is told once',
      );
      const [end] = recorder.ends;
      if (end?.kind === 'lost') assert.deepEqual([end.lost.reason, end.lost.fatal?.code], [reason, fatal]);
    }
    assert.deepEqual(
      this.closings.map((lost) => [lost.reason, lost.fatal?.code]),
      [[reason, fatal]],
      'the pool is told once',
    );
    assert.ok(!this.backend.open && !this.backend.idle);
  }
}

const HEADER = 5;
const PARAMETER_STATUS = 'S'.charCodeAt(0);

/** A message, as a failure shows it. */
function shown(bytes: Buffer): string {
  return `${bytes.length} ${bytes.toString('latin1', 0, 60)}`;
}

function frames(bytes: Buffer): string[] {
  const found: string[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = at + 1 + (at + HEADER <= bytes.length ? bytes.readInt32BE(at + 1) : bytes.length);
    found.push(shown(bytes.subarray(at, end)));
    at = end;
  }
  return found;
}

const asker: fc.Arbitrary<Asker> = fc.record({
  request,
  watch: fc.array(fc.constantFrom(Watch.pass, Watch.take, Watch.tap), {
    minLength: SETTABLE.length + ASYNC.length,
    maxLength: SETTABLE.length + ASYNC.length,
  }),
  next: fc.option(request, { nil: undefined, freq: 4 }),
});

const cut = fc.oneof(
  { weight: 4, arbitrary: fc.integer({ min: 1, max: 9 }) },
  { weight: 3, arbitrary: fc.integer({ min: 10, max: 300 }) },
  { weight: 2, arbitrary: fc.constant(65_536) },
);

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('ask' as const), asker }) },
  { weight: 8, arbitrary: fc.record({ kind: fc.constant('deliver' as const), bytes: cut }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('aside' as const), aside }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('brake' as const, 'release' as const) }) },
);

const steps = fc.array(step, { maxLength: 24 });
/** At the end a rest of any length is read in larger pieces, so that a run stays short. */
const restCuts = fc.tuple(cut, cut, fc.constant(65_536), fc.constant(65_536));

test('whatever is asked and however the answers are cut, each reply reaches whom it is owed, and nothing stays owed', () => {
  fc.assert(
    fc.property(steps, restCuts, (program, rest) => {
      const world = new World();
      world.play(program);
      world.assertReplies();
      assert.equal(world.backend.idle, world.waiting.length === 0);
      world.deliverAll(rest);
      world.assertReplies();
      world.assertKnown();
      assert.ok(world.owed.every(({ outcome }) => outcome === 'complete'));
      assert.ok(world.backend.idle, 'it owes nothing');
      assert.ok(!world.backend.insideFrame);
      assert.equal(world.socket.written.length, world.owed.length + 1, 'each was sent, behind the start-up');
      assert.equal(world.backend.silentMs(Number.MAX_SAFE_INTEGER), 0);
    }),
    sampling(400),
  );
});

/** How a connection is lost. `cut`: its last bytes come in pieces of this size. */
interface Loss {
  readonly kind:
    | 'end'
    | 'reset'
    | 'FATAL'
    | 'PANIC'
    | 'bad length'
    | 'negative length'
    | 'broken message'
    | 'closed by us';
  readonly cut: number;
}

const loss: fc.Arbitrary<Loss> = fc.record({
  kind: fc.constantFrom(
    'end' as const,
    'reset' as const,
    'FATAL' as const,
    'PANIC' as const,
    'bad length' as const,
    'negative length' as const,
    'broken message' as const,
    'closed by us' as const,
  ),
  cut: fc.integer({ min: 1, max: 40 }),
});

function lose(world: World, { kind, cut: size }: Loss): { reason: Lost['reason']; fatal: string | undefined } {
  const arrive = (bytes: Buffer): void => {
    for (let at = 0; at < bytes.length; at += size)
      world.socket.arrive(Buffer.from(bytes.subarray(at, Math.min(at + size, bytes.length))));
  };
  const violation = { reason: 'server protocol violation', fatal: undefined } as const;
  switch (kind) {
    case 'end':
      world.socket.hangUp();
      return { reason: 'server disconnected', fatal: undefined };
    case 'reset':
      world.socket.hangUp(new Error('read ECONNRESET'));
      return { reason: 'server socket error', fatal: undefined };
    case 'closed by us':
      world.backend.close('server too slow');
      return { reason: 'server too slow', fatal: undefined };
    case 'FATAL':
    case 'PANIC':
      arrive(reply.error('57P01', 'terminating connection', kind));
      world.socket.hangUp();
      return { reason: 'server disconnected', fatal: '57P01' };
    case 'bad length':
      arrive(frame('D', Buffer.alloc(0), 3));
      return violation;
    case 'negative length':
      arrive(frame('Z', Buffer.from('I'), -1));
      return violation;
    case 'broken message':
      arrive(frame('Z', Buffer.alloc(0)));
      return violation;
    default:
      return unreachable(kind);
  }
}

test('wherever the connection is lost, each who is owed a reply has had it or is told once, in order', () => {
  fc.assert(
    fc.property(steps, loss, (program, how) => {
      const world = new World();
      world.play(program);
      world.backend.channel.release('receiver slow');
      // A last word and a violation begin where a message may begin.
      const whole = !['end', 'reset', 'closed by us'].includes(how.kind);
      if (whole) while (world.remaining > 0) world.deliver(world.remaining);
      for (const owed of world.waiting) owed.outcome = 'lost';
      const { reason, fatal } = lose(world, how);
      world.assertReplies();
      world.assertKnown();
      world.assertLost(reason, fatal);
      const given = world.owed.map(({ recorder }) => recorder.given.length);
      // What was on its way is nobody's.
      world.socket.arrive(Buffer.concat([reply.notice('late'), reply.row('late'), reply.ready()]));
      world.assertKnown();
      world.socket.hangUp();
      assert.deepEqual(
        world.owed.map(({ recorder }) => recorder.given.length),
        given,
      );
      world.assertLost(reason, fatal);
      world.assertClosed();
    }),
    sampling(400),
  );
});

test('what no server may say while nothing is owed ends the connection, and what it says for itself does not', () => {
  const unasked = fc.constantFrom(
    reply.row('x'),
    reply.ready(),
    reply.complete('SELECT 1'),
    reply.error('XX000', 'out of the blue'),
  );
  fc.assert(
    fc.property(steps, unasked, restCuts, (program, bytes, sizes) => {
      const world = new World();
      world.play(program);
      world.deliverAll(sizes);
      assert.ok(world.backend.idle);
      for (const byte of bytes) world.socket.arrive(Buffer.from([byte]));
      world.assertReplies();
      world.assertLost('server protocol violation', undefined);
      world.assertClosed();
    }),
    sampling(100),
  );
});
