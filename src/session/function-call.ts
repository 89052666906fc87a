/**
 * FunctionCall (PostgreSQL, "Function Call"): what libpq works on large objects with (pg_dump, pg_restore, psql's \lo_…).
 * Reading runs on the lead, where its descriptors are. What writes runs on every writer, and has to answer the same there.
 * Of the other functions, PostgreSQL's own that change nothing run on the lead; the rest is refused: SQL can call it.
 */
import type { Backend } from '../backend/backend.ts';
import { guard } from '../backend/guard.ts';
import { BackendLostError, KeptReply } from '../backend/receiver.ts';
import { FIRST_NORMAL_OID } from '../cluster/type-names.ts';
import type { FollowerFailure } from '../fanout/follower.ts';
import { PproxError } from '../lib/errors.ts';
import { isHarmless } from '../sql/function-effects.ts';
import { decodeErrorFields, type ErrorFields } from '../wire/error-fields.ts';
import { Watch, watchTable } from '../wire/frame-scan.ts';
import {
  decodeFunctionCall,
  decodeFunctionCallResponse,
  decodeInteger,
  encodeFunctionCall,
  type FunctionCall,
  frameFunctionCall,
} from '../wire/function-call.ts';
import { ShortMessage } from '../wire/reader.ts';
import { BackendTag, TransactionStatus } from '../wire/tags.ts';
import { commitBlock, rollbackBlock } from './block-end.ts';
import { openPending } from './read.ts';
import { report } from './query.ts';
import { failedBlock } from './reply.ts';
import type { WritersBlock } from './block.ts';
import type { SessionState } from './state.ts';
import { beginFollowers, followerDeadline, allVisible, throwFailures } from './replay.ts';
import { followersCaughtUp } from './trailing.ts';
import { allFollowers, openImplicit } from './write.ts';

/** Object identifiers in pg_proc.dat, the same in every version. */
const LO_OPEN = 952;
const LO_CLOSE = 953;
const LO_CREAT = 957;
const LO_CREATE = 715;
const LO_UNLINK = 964;
/** lo_close, loread, lo_lseek, lo_lseek64, lo_tell, lo_tell64: on the lead, or wherever their descriptor is. */
const READING = new Set([LO_CLOSE, 954, 956, 3170, 958, 3171]);
/** lowrite, lo_truncate, lo_truncate64: on a descriptor that every writer has. */
const WRITING = new Set([955, 1004, 3172]);

/** INV_WRITE (libpq-fs.h). */
const WRITE_MODE = 0x20000;

/** Descriptors that every writer has; they end with their transaction. */
const sharedDescriptors = new WeakMap<WritersBlock, Set<number>>();

/** Answers one FunctionCall, ReadyForQuery included. `body`: the message without type and length. */
export async function runFunctionCall(session: SessionState, body: Buffer): Promise<void> {
  try {
    await run(session, body);
  } catch (error) {
    await report(session, error);
  }
  if (!session.link.gone) session.link.sendReady(session.status);
}

async function run(session: SessionState, body: Buffer): Promise<void> {
  const call = decode(body);
  const first = decodeInteger(call?.args[0]?.value, call?.args[0]?.format ?? 'text');
  if (session.block.kind === 'lost') throw failedBlock();
  if (session.block.kind === 'pending') await openPending(session, session.block.begin);
  const shared = session.block.kind === 'writers' ? sharedDescriptors.get(session.block) : undefined;
  const isShared = first !== undefined && shared?.has(first) === true;
  switch (call?.oid) {
    case LO_OPEN: {
      const mode = decodeInteger(call.args[1]?.value, call.args[1]?.format ?? 'text') ?? 0;
      return (mode & WRITE_MODE) === 0 ? onLead(session, body) : onWriters(session, body, call);
    }
    case LO_CREAT:
    case LO_CREATE:
    case LO_UNLINK:
      return onWriters(session, body, call);
    default:
      if (call !== undefined && READING.has(call.oid))
        return isShared ? onWriters(session, body, call) : onLead(session, body);
      if (call !== undefined && WRITING.has(call.oid) && isShared) return onWriters(session, body, call);
      if (await changesNothing(session, call)) return onLead(session, body);
      throw new PproxError('unsupported_feature', {
        message:
          'the function call protocol is supported by pprox for large objects, and functions of PostgreSQL that change nothing',
        hint: 'Call the function in a SELECT.',
      });
  }
}

/** One of PostgreSQL's own that has no effect; and what the server refuses whatever it is. */
async function changesNothing(session: SessionState, call: FunctionCall | undefined): Promise<boolean> {
  if (session.status === TransactionStatus.Failed) return true;
  const oid = call === undefined ? FIRST_NORMAL_OID : call.oid >>> 0;
  if (oid >= FIRST_NORMAL_OID) return false;
  const found = await session.services.catalog.function(session, oid);
  return found === undefined || (found.schema === 'pg_catalog' && isHarmless(found.name, found.volatility));
}

function decode(body: Buffer): FunctionCall | undefined {
  try {
    return decodeFunctionCall(body);
  } catch (error) {
    if (error instanceof ShortMessage) return undefined;
    throw error;
  }
}

/** Runs where the session is now: on its reader, in its block on the lead, or on the lead alone. */
async function onLead(session: SessionState, body: Buffer): Promise<void> {
  const { block } = session;
  const open = block.kind === 'writers' ? block.legs.lead.lease : block.kind === 'reader' ? block.lease : undefined;
  if (open !== undefined && (block.kind === 'writers' || block.kind === 'reader')) {
    const reply = await ask(session, open.backend, frameFunctionCall(body));
    block.status = reply.status;
    for (const frame of reply.frames) session.link.send(frame);
    return;
  }
  const legs = await session.leaseLead();
  try {
    const reply = await ask(session, legs.lead.lease.backend, frameFunctionCall(body));
    for (const frame of reply.frames) session.link.send(frame);
  } finally {
    await session.giveBack(legs);
  }
}

async function onWriters(session: SessionState, body: Buffer, call: FunctionCall): Promise<void> {
  // A read-only block on a reader: that server says so.
  if (session.block.kind === 'reader') return onLead(session, body);
  const block = await openImplicit(session);
  allFollowers(block);
  await followersCaughtUp(session, block);
  block.writes = 'possible';
  const started = performance.now();
  const message = frameFunctionCall(body);
  const reply = await ask(session, block.legs.lead.lease.backend, message);
  block.status = reply.status;
  if (reply.error !== undefined) {
    for (const frame of reply.frames) session.link.send(frame);
    if (block.mode === 'implicit') await rollbackBlock(session, block);
    return;
  }
  await allVisible(session, WRITING.has(call.oid) ? [] : block.legs.followers);
  beginFollowers(session, block);
  throwFailures(block, await onFollowers(session, block, message, call, reply, performance.now() - started));
  noteDescriptor(block, call, reply);
  if (block.mode === 'implicit') {
    await commitBlock(session, block, { chain: false, completion: Buffer.concat(reply.frames) });
  } else for (const frame of reply.frames) session.link.send(frame);
}

async function onFollowers(
  session: SessionState,
  block: WritersBlock,
  message: Buffer,
  call: FunctionCall,
  expected: Reply,
  elapsedMs: number,
): Promise<readonly FollowerFailure[]> {
  const creates = call.oid === LO_CREAT || call.oid === LO_CREATE;
  const identifier = decodeInteger(expected.value, call.result);
  // The identifier that the lead has chosen or been given.
  const own = creates && identifier !== undefined ? encodeFunctionCall(LO_CREATE, [identifier]) : message;
  const backends = block.legs.followers.map(({ lease }) => lease.backend);
  const watchdog = guard(backends, followerDeadline(session, elapsedMs));
  try {
    const found = await Promise.all(
      block.legs.followers.map(async ({ node: { label }, lease }): Promise<FollowerFailure | undefined> => {
        try {
          const reply = await ask(session, lease.backend, own);
          if (reply.error !== undefined) return { kind: 'error', label, fields: reply.error };
          const same = creates
            ? decodeInteger(reply.value, 'binary') === identifier
            : Buffer.compare(reply.value ?? NULL, expected.value ?? NULL) === 0;
          const effect = (tag: string) => ({ tag, rows: undefined });
          return same
            ? undefined
            : { kind: 'different', label, expected: effect('one result'), found: effect('another result') };
        } catch (error) {
          if (error instanceof BackendLostError) return { kind: 'lost', label, lost: error.lost };
          throw error;
        }
      }),
    );
    return found.flatMap((failure) => failure ?? []);
  } finally {
    watchdog.clear();
  }
}

const NULL = Buffer.alloc(0);

function noteDescriptor(block: WritersBlock, call: FunctionCall, reply: Reply): void {
  const shared = sharedDescriptors.get(block) ?? new Set<number>();
  sharedDescriptors.set(block, shared);
  const opened = call.oid === LO_OPEN ? decodeInteger(reply.value, call.result) : undefined;
  if (opened !== undefined) shared.add(opened);
  const closed = call.oid === LO_CLOSE ? decodeInteger(call.args[0]?.value, call.args[0]?.format ?? 'text') : undefined;
  if (closed !== undefined) shared.delete(closed);
}

interface Reply {
  /** What the client gets: notices, and FunctionCallResponse or ErrorResponse. */
  readonly frames: readonly Buffer[];
  readonly value: Buffer | null;
  readonly error: ErrorFields | undefined;
  /** ReadyForQuery's transaction status. */
  readonly status: number;
}

/** Rejects with BackendLostError. */
function ask(session: SessionState, backend: Backend, message: Buffer): Promise<Reply> {
  const receiver = new CallReceiver();
  backend.send(message, receiver);
  return session.cancellable(backend, receiver.reply);
}

const ANSWERS = watchTable({
  [BackendTag.FunctionCallResponse]: Watch.take,
  [BackendTag.NoticeResponse]: Watch.take,
});

/** Keeps the reply to one call: its value is as large as what was asked for. */
class CallReceiver extends KeptReply<Reply> {
  readonly watch = ANSWERS;
  readonly #frames: Buffer[] = [];
  #value: Buffer | null = null;
  #error: ErrorFields | undefined;

  take(tag: number, chunk: Buffer, start: number, end: number): void {
    const frame = Buffer.from(chunk.subarray(start, end));
    if (tag === BackendTag.FunctionCallResponse) this.#value = decodeFunctionCallResponse(frame);
    else if (tag === BackendTag.ErrorResponse) this.#error = decodeErrorFields(frame, 0, frame.length);
    else if (tag !== BackendTag.NoticeResponse) return;
    this.#frames.push(frame);
  }

  protected outcome(status: number): Reply {
    return { frames: this.#frames, value: this.#value, error: this.#error, status };
  }
}
