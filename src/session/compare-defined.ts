/** What functions and triggers have made and altered on every writer by themselves: whether the relations are the same. */
import { CHANGED_RELATIONS, type ChangedRelation, relationsText } from '../fanout/changed-relations.ts';
import type { FollowerFailure } from '../fanout/follower.ts';
import { answerOf, compareEach } from './own-questions.ts';
import type { WritersBlock } from './block.ts';
import type { SessionState } from './state.ts';

/** Relations that one question is about. */
const AT_ONCE = 50;

/** Throws PproxError where the lead refuses to tell. */
export async function compareDefined(
  session: SessionState,
  { legs: { lead, followers } }: WritersBlock,
): Promise<readonly FollowerFailure[]> {
  const { backend } = lead.lease;
  const ask = (text: string): ReturnType<typeof answerOf> => session.cancellable(backend, answerOf(backend, text));
  const changed = (await ask(CHANGED_RELATIONS)).rows.map(([name, compared]): ChangedRelation => {
    return { name: name ?? '', compared: compared === 'rows' ? 'rows' : 'nothing but itself' };
  });
  for (let at = 0; at < changed.length; at += AT_ONCE) {
    const some = changed.slice(at, at + AT_ONCE);
    const text = relationsText(some);
    const expected = (await ask(text)).rows;
    const differing = await compareEach(session, followers, async ({ lease, node: { label } }) => {
      const found = (await answerOf(lease.backend, text)).rows;
      const other = some.find((_, place) => found[place]?.[1] !== expected[place]?.[1]);
      return other === undefined ? 'same' : { kind: 'relation', label, relation: other.name };
    });
    if (differing !== 'not known' && differing.length > 0) return differing;
  }
  return [];
}
