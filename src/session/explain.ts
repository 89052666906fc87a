/** EXPLAIN (PPROX) …: where a statement would run, what followers would get, and why. Nothing of it runs. */
import { describePlan } from '../fanout/plan-text.ts';
import { PproxError } from '../lib/errors.ts';
import { quoteEscaped } from '../sql/quote.ts';
import type { Route, Statement } from '../sql/statement.ts';
import { statementKey, unknownStatement } from './prepare.ts';
import { placeOfTemporary, raisedByCatalog } from './route.ts';
import type { SessionState } from './state.ts';

/** `text`: the whole of the client's, EXPLAIN included. Rejects with PproxError where it names what does not exist. */
export async function planLines(session: SessionState, planned: Statement, text: Buffer): Promise<readonly string[]> {
  const named = planned.executes === undefined ? undefined : session.statements.get(statementKey(planned.executes));
  if (planned.executes !== undefined && named === undefined) throw unknownStatement(planned.executes);
  const statement = named?.analysed ?? planned;
  const shown = inOneLine(named?.analysed === undefined ? behindExplain(text) : named.text.toString());
  try {
    const route = await routeOf(session, statement);
    const lines = [`Route: ${route}`, `  Reason: ${statement.reason}`];
    if (route !== 'writers') return lines;
    const plan = await session.services.planner.plan(session, statement);
    if (session.followers === 'none')
      return [...lines, 'Plan: statement', `  Reason: ${plan.rule}`, `  Lead: ${shown}`];
    return [...lines, ...describePlan(plan, shown)];
  } catch (error) {
    if (!(error instanceof PproxError) || error.condition !== 'not_replayable') throw error;
    return [
      'Plan: refused',
      `  Reason: ${error.message}`,
      ...(error.hint === undefined ? [] : [`  Hint: ${error.hint}`]),
    ];
  }
}

/** As the session would be routed, without what a route leaves behind. */
async function routeOf(session: SessionState, statement: Statement): Promise<Route> {
  const raised = statement.route === 'writers' ? 'writers' : await raisedByCatalog(session, statement);
  const route = raised === 'reader' ? statement.route : raised;
  const place = session.followers === 'some' && route === 'writers';
  if (place) return (await placeOfTemporary(session, statement)) ?? route;
  return route === 'reader' && statement.needsSequenceState ? 'lead' : route;
}

/** Where the statement's beginning is not plain to see, no more than what it is. */
function behindExplain(text: Buffer): string {
  return /^\s*EXPLAIN\s*\([^()]*\)([^]*?);?\s*$/i.exec(text.toString())?.[1] ?? 'the statement';
}

function inOneLine(text: string): string {
  return text.trim().replace(/\s+/g, ' ');
}

/** A query that answers with these lines, as EXPLAIN does. */
export function tellingText(lines: readonly string[]): Buffer {
  const rows = lines.map((line, index) => `(${index + 1}, ${quoteEscaped(line)})`);
  return Buffer.from(`SELECT line AS "QUERY PLAN" FROM (VALUES ${rows.join(', ')}) AS v (place, line) ORDER BY place`);
}
