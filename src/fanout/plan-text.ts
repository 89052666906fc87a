/** A replay plan for people: EXPLAIN (PPROX). */
import { unreachable } from '../lib/assert.ts';
import { qualified } from '../sql/quote.ts';
import { isLeadAlone, locksOf, type ReplayPlan } from './plan.ts';

/** `text`: the statement's own. One line for each thing, as EXPLAIN writes its own. */
export function describePlan(plan: ReplayPlan, text: string): readonly string[] {
  const locks = locksOf(plan);
  const kind = locks.length > 0 ? `${nameOf(plan)}, behind locks` : nameOf(plan);
  return [
    `Plan: ${kind}`,
    `  Reason: ${plan.rule}`,
    `  Lead: ${plan.kind === 'statement' ? text : withReturning(text, plan.returning)}`,
    `  Followers: ${onFollowers(plan, text)}`,
    ...(locks.length > 0 ? [`  Locked: ${locks.map(qualified).join(', ')}`] : []),
    ...(plan.kind !== 'rows' && plan.times.length > 0
      ? [`  Time of the lead in place of: ${plan.times.map(({ name }) => name).join(', ')}`]
      : []),
    `  Compared: ${comparedBy(plan)}`,
    ...(plan.effects === 'hidden' && !(plan.kind === 'statement' && plan.keyed !== undefined)
      ? ['  Beyond its text: functions, triggers or keys may do more']
      : []),
  ];
}

function nameOf(plan: ReplayPlan): string {
  switch (plan.kind) {
    case 'statement':
      if (isLeadAlone(plan)) return 'rows, read back';
      if (plan.keyed !== undefined) return 'statement';
      if (plan.effects === 'hidden' && plan.locks.length > 0) return 'rows';
      return plan.effects === 'hidden' ? 'opaque' : 'statement';
    case 'verified':
      return 'verified statement';
    case 'rows':
      return 'rows';
    default:
      return unreachable(plan);
  }
}

function onFollowers(plan: ReplayPlan, text: string): string {
  if (plan.kind === 'statement') {
    if (isLeadAlone(plan)) return 'the rows that it has stored, read back on the lead';
    if (plan.keyed !== undefined)
      return 'the same, or the rows that it has changed where not every change has found its own';
    if (plan.inPlace === 'rows') return 'the rows that it has changed, or the same where these cannot be told';
    return plan.text ?? 'the same';
  }
  if (plan.kind === 'verified') return withReturning(text, plan.returning);
  const values = plan.columns.slice(0, plan.sent).map((_, index) => `…${plan.casts[index] ?? ''}`);
  const rows =
    plan.effects === 'hidden' && plan.otherwise === 'same text'
      ? ', or the same as the lead where other tables were changed that cannot be told'
      : '';
  const one = plan.batch === 'one row' ? ', one for each row' : '';
  return `${plan.prefix}(${values.join(',')})${plan.batch === 'one row' ? '' : ', …'}${plan.suffix}${one}${rows}`;
}

function comparedBy(plan: ReplayPlan): string {
  const parts = ['the number of rows'];
  if (plan.kind === 'verified' || plan.rows === 'compared') parts.push('the rows that are returned');
  if (plan.kind === 'statement' && plan.proof !== undefined) parts.push('all rows of what it makes');
  if (plan.kind === 'statement' && plan.keyed !== undefined) parts.push('changes of each table by their number');
  else if (plan.effects === 'hidden' && !isLeadAlone(plan))
    parts.push('changes of other tables by their number', 'sequences');
  return parts.join('; ');
}

function withReturning(text: string, returning: string): string {
  return `${text}${returning.replaceAll('\n', '')}`;
}
