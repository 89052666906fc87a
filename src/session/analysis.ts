/** A client's text, read: its statements, by the rules of its session. */
import { withProcessId } from '../sql/process-id.ts';
import { type Rewritten, samePositions } from '../sql/positions.ts';
import type { Analysis } from '../sql/statement.ts';
import type { SessionState } from './state.ts';

/** With pg_backend_pid() as the client knows it: `text` is what is to be run. */
export async function analyse(session: SessionState, text: Buffer): Promise<Rewritten & { analysis: Analysis }> {
  const analysis = await readText(session, text);
  const own = withProcessId(text, analysis, session.processId);
  return own === undefined
    ? { text, positions: samePositions, analysis }
    : { ...own, analysis: await readText(session, own.text) };
}

/** In this thread where it is quick, in one of its own where it is not. */
export async function readText(session: SessionState, text: Buffer): Promise<Analysis> {
  const { analyser, largeAnalyser } = session.services;
  const analysis = analyser.analyse(text, session.lexis);
  const large = analysis.kind === 'unreadable' && analysis.why === 'size';
  return large ? largeAnalyser.analyse(text, session.lexis) : analysis;
}
