/**
 * What PostgreSQL sends for a request (manual, "Message Flow"), and who is to be given it. Written apart from src; a random
 * request says what its statements come to.
 */
import fc from 'fast-check';
import { unreachable } from '../../../src/lib/assert.ts';
import { cString, frame } from '../../support/frontend-messages.ts';
import { reply } from './fake-server.ts';

/** What one statement, or one Execute, comes to. `sizes`: of its rows, in bytes. */
export interface Run {
  readonly sizes: readonly number[];
  readonly end: 'complete' | 'empty' | 'suspended' | 'error' | 'copy out' | 'copy in';
}

export type Message =
  | { readonly kind: 'parse' | 'bind' | 'close' | 'flush' }
  | { readonly kind: 'describe statement' | 'describe portal'; readonly result: 'rows' | 'no rows' }
  | { readonly kind: 'execute'; readonly run: Run };

/** What the server says for itself, at any moment. */
export type Aside =
  | { readonly kind: 'notice'; readonly text: string }
  | { readonly kind: 'parameter'; readonly value: string }
  | { readonly kind: 'notification'; readonly text: string };

export type Request = (
  | { readonly kind: 'query'; readonly runs: readonly Run[] }
  /** `failsAt`: the message that is refused; the rest is skipped up to Sync. */
  | { readonly kind: 'segment'; readonly messages: readonly Message[]; readonly failsAt: number | undefined }
) & {
  readonly status: 'I' | 'T' | 'E';
  readonly asides: readonly { readonly at: number; readonly aside: Aside }[];
};

const NOTHING = Buffer.alloc(0);
const two = Buffer.from([0, 2]);

export const told = {
  parsed: frame('1', NOTHING),
  bound: frame('2', NOTHING),
  closed: frame('3', NOTHING),
  noData: frame('n', NOTHING),
  empty: frame('I', NOTHING),
  suspended: frame('s', NOTHING),
  copyDone: frame('c', NOTHING),
  copyIn: frame('G', Buffer.from([0, 0, 0])),
  copyOut: frame('H', Buffer.from([0, 0, 0])),
  parameters: frame('t', Buffer.concat([two, Buffer.from([0, 0, 0, 23, 0, 0, 0, 25])])),
  columns: frame('T', Buffer.concat([Buffer.from([0, 1]), cString('v'), Buffer.alloc(18)])),
} as const;

/** `mark` tells frames of one kind apart. */
export function row(mark: string, size: number): Buffer {
  return reply.row(mark.padEnd(size, '.'));
}

export function asideFrame(aside: Aside): Buffer {
  switch (aside.kind) {
    case 'notice':
      return reply.notice(aside.text);
    case 'parameter':
      return reply.parameter('application_name', aside.value);
    case 'notification':
      return frame('A', Buffer.concat([Buffer.from([0, 0, 0, 9]), cString('channel'), cString(aside.text)]));
    default:
      return unreachable(aside);
  }
}

export function refusal(code: string): Buffer {
  return reply.error(code, 'refused');
}

/** Rows and what ends them. */
export function runFrames(mark: string, { sizes, end }: Run): Buffer[] {
  const rows = sizes.map((size, at) => row(`${mark}.${at}`, size));
  switch (end) {
    case 'complete':
      return [...rows, reply.complete(`SELECT ${rows.length}`)];
    case 'empty':
      return [told.empty];
    case 'suspended':
      return [...rows, told.suspended];
    case 'error':
      return [...rows, refusal('22012')];
    case 'copy out': {
      const lines = sizes.map((size, at) => frame('d', Buffer.from(`${mark}.${at}`.padEnd(size, '.'))));
      return [told.copyOut, ...lines, told.copyDone, reply.complete(`COPY ${lines.length}`)];
    }
    case 'copy in':
      return [told.copyIn, reply.complete('COPY 1')];
    default:
      return unreachable(end);
  }
}

export function messageFrames(mark: string, message: Message): Buffer[] {
  switch (message.kind) {
    case 'parse':
      return [told.parsed];
    case 'bind':
      return [told.bound];
    case 'close':
      return [told.closed];
    case 'flush':
      return [];
    case 'describe statement':
      return [told.parameters, message.result === 'rows' ? told.columns : told.noData];
    case 'describe portal':
      return [message.result === 'rows' ? told.columns : told.noData];
    case 'execute':
      return runFrames(mark, message.run);
    default:
      return unreachable(message);
  }
}

/** The reply up to ReadyForQuery, which is not in it. */
export function replyFrames(mark: string, request: Request): Buffer[] {
  const frames = request.kind === 'query' ? queryFrames(mark, request.runs) : segmentFrames(mark, request);
  for (const { at, aside } of request.asides) frames.splice(at % (frames.length + 1), 0, asideFrame(aside));
  return frames;
}

function queryFrames(mark: string, runs: readonly Run[]): Buffer[] {
  if (runs.length === 0) return [told.empty];
  const frames: Buffer[] = [];
  for (const [at, run] of runs.entries()) {
    if (run.end === 'complete' && run.sizes.length > 0) frames.push(told.columns);
    frames.push(...runFrames(`${mark}.${at}`, run));
    if (run.end === 'error') break;
  }
  return frames;
}

function segmentFrames(mark: string, { messages, failsAt }: Request & { readonly kind: 'segment' }): Buffer[] {
  const frames: Buffer[] = [];
  for (const [at, message] of messages.entries()) {
    if (at === failsAt) return [...frames, refusal('42601')];
    frames.push(...messageFrames(`${mark}.${at}`, message));
    if (message.kind === 'execute' && message.run.end === 'error') break;
  }
  return frames;
}

/** Small as a rule; now and then larger than a read of a socket. */
const size = fc.oneof(
  { weight: 30, arbitrary: fc.nat(40) },
  { weight: 2, arbitrary: fc.integer({ min: 200, max: 3000 }) },
  { weight: 1, arbitrary: fc.integer({ min: 65_000, max: 150_000 }) },
);

export function runs(ends: readonly Run['end'][]): fc.Arbitrary<Run> {
  return fc.record({ sizes: fc.array(size, { maxLength: 4 }), end: fc.constantFrom(...ends) });
}

export const aside: fc.Arbitrary<Aside> = fc.oneof(
  fc.record({ kind: fc.constant('notice' as const), text: fc.constantFrom('a', 'bb', 'a longer notice') }),
  fc.record({ kind: fc.constant('parameter' as const), value: fc.constantFrom('one', 'two') }),
  fc.record({ kind: fc.constant('notification' as const), text: fc.constantFrom('', 'payload') }),
);

export const asides = fc.array(fc.record({ at: fc.nat(20), aside }), { maxLength: 2 });

const message: fc.Arbitrary<Message> = fc.oneof(
  fc.record({ kind: fc.constantFrom('parse' as const, 'bind' as const, 'close' as const, 'flush' as const) }),
  fc.record({
    kind: fc.constantFrom('describe statement' as const, 'describe portal' as const),
    result: fc.constantFrom('rows' as const, 'no rows' as const),
  }),
  fc.record({
    kind: fc.constant('execute' as const),
    run: runs(['complete', 'complete', 'complete', 'empty', 'suspended', 'error', 'copy out']),
  }),
);

const status = fc.constantFrom('I' as const, 'T' as const, 'E' as const);

export const request: fc.Arbitrary<Request> = fc.oneof(
  fc.record({
    kind: fc.constant('query' as const),
    runs: fc.array(runs(['complete', 'complete', 'complete', 'error', 'copy out', 'copy in']), { maxLength: 3 }),
    status,
    asides,
  }),
  fc.record({
    kind: fc.constant('segment' as const),
    messages: fc.array(message, { maxLength: 6 }),
    failsAt: fc.option(fc.nat(5), { nil: undefined, freq: 3 }),
    status,
    asides,
  }),
);
