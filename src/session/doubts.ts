/**
 * What a statement that has failed, or is refused behind the lead, may have left with its server sessions. No rollback takes back locks of the
 * session (manual, "Advisory Locks"), where sequences stand for currval() ("Sequence Manipulation Functions"), what was prepared, the seed of
 * random(), or an empty setting of one's own.
 */
import type { Backend } from '../backend/backend.ts';
import { BackendLostError } from '../backend/receiver.ts';
import type { PinReason, Statement } from '../sql/statement.ts';
import { settlePins } from './pins.ts';
import type { SessionState } from './state.ts';
import type { StatementEnd } from './statement-end.ts';

/** What else a statement may leave ends with its transaction. */
const LASTING: ReadonlySet<PinReason> = new Set<PinReason>(['advisory lock', 'setting', 'volatile function']);
const LOCKING: ReadonlySet<PinReason> = new Set<PinReason>(['advisory lock', 'volatile function']);

/** Runs it, and doubts these server sessions where it does not succeed. */
export async function doubting(
  session: SessionState,
  statement: Statement,
  backends: () => readonly Backend[],
  run: () => Promise<StatementEnd>,
): Promise<StatementEnd> {
  try {
    const end = await run();
    if (end.kind === 'failed') doubt(session, statement, backends());
    return end;
  } catch (error) {
    if (error instanceof BackendLostError) doubtBackends(statement, backends());
    else doubt(session, statement, backends());
    throw error;
  }
}

/** `backends`: the lead's first. The session keeps what it may have to itself: `settlePins` asks for locks behind the transaction. */
export function doubt(session: SessionState, statement: Statement, backends: readonly Backend[]): void {
  doubtBackends(statement, backends);
  // With its server session all of it is gone.
  if (backends[0]?.open !== true) return;
  if (mayDraw(statement)) session.pins.add('sequence value');
  // One that is kept for its client anyway may hold any.
  if (!statement.pins.some((pin) => LOCKING.has(pin)) || session.pins.has('volatile function')) return;
  session.pins.add('advisory lock');
  session.doubtfulPins.add('advisory lock');
}

/** In no block. */
export async function doubtAlone(session: SessionState, statement: Statement, backend: Backend): Promise<void> {
  doubt(session, statement, [backend]);
  await settlePins(session, backend);
}

function doubtBackends({ pins }: Statement, backends: readonly Backend[]): void {
  if (!pins.some((pin) => LASTING.has(pin))) return;
  for (const backend of backends) backend.remains = 'perhaps something';
}

/** By its text, or by what that sets off. */
function mayDraw({ command, sequences, functions, pins, route }: Statement): boolean {
  if (sequences.calls !== 'none' || functions.length > 0 || pins.includes('volatile function')) return true;
  return route === 'writers' && command.kind !== 'set' && command.kind !== 'set transaction';
}
