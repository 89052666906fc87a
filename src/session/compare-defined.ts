/** What functions and triggers have made and altered on every writer by themselves: whether the relations are the same. */
import { CHANGED_RELATIONS, relationText } from '../fanout/changed-relations.ts';
import type { FollowerFailure } from '../fanout/follower.ts';
import { answerOf, compareEach } from './own-questions.ts';
import type { SessionState, WritersBlock } from './state.ts';

/** Throws PproxError where the lead refuses to tell. */
export async function compareDefined(
  session: SessionState,
  { legs: { lead, followers } }: WritersBlock,
): Promise<readonly FollowerFailure[]> {
  const { backend } = lead.lease;
  const ask = (text: string): ReturnType<typeof answerOf> => session.cancellable(backend, answerOf(backend, text));
  for (const [relation, what] of (await ask(CHANGED_RELATIONS)).rows) {
    const text = relationText(relation ?? '', what ?? '');
    const expected = (await ask(text)).rows[0]?.[0];
    const differing = await compareEach(session, followers, async ({ lease, node: { label } }) => {
      const found = (await answerOf(lease.backend, text)).rows[0]?.[0];
      return found === expected ? 'same' : { kind: 'relation', label, relation: relation ?? '' };
    });
    if (differing !== 'not known' && differing.length > 0) return differing;
  }
  return [];
}
