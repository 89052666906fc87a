/** What functions and triggers have made and altered on every writer by themselves: whether the relations are the same. */
import {
  CHANGED_LARGE_OBJECTS,
  CHANGED_OBJECTS,
  CHANGED_RELATIONS,
  type ChangedRelation,
  relationsText,
  standingText,
} from '../fanout/changed-relations.ts';
import type { FollowerFailure } from '../fanout/follower.ts';
import { answerOf, compareEach } from './own-questions.ts';
import type { WritersBlock } from './block.ts';
import type { SessionState } from './state.ts';

/** Relations that one question is about. */
const AT_ONCE = 50;

type Rows = readonly (readonly (string | null)[])[];

/** Throws PproxError where the lead refuses to tell. */
export async function compareDefined(
  session: SessionState,
  { legs: { lead, followers } }: WritersBlock,
  largeObjects: 'changed' | 'not changed',
): Promise<readonly FollowerFailure[]> {
  const { backend } = lead.lease;
  const ask = (text: string): ReturnType<typeof answerOf> => session.cancellable(backend, answerOf(backend, text));
  const changed = relationsOf((await ask(CHANGED_RELATIONS)).rows);
  // What a follower alone has changed, and the lead alone, which was not there or is not any more on the other one.
  const others = new Map<string, ChangedRelation>();
  const asked = await compareEach(session, followers, async ({ lease }) => {
    const here = relationsOf((await answerOf(lease.backend, CHANGED_RELATIONS)).rows);
    for (const [name, one] of here) if (!changed.has(name)) others.set(name, one);
    for (const [name, one] of changed) if (!here.has(name)) others.set(name, one);
    return 'same';
  });
  if (asked !== 'not known' && asked.length > 0) return asked;
  if (others.size > 0) {
    const text = standingText([...others.keys()]);
    const there = new Set((await ask(text)).rows.map(([name]) => name));
    const missing = await compareEach(session, followers, async ({ lease, node: { label } }) => {
      const here = new Set((await answerOf(lease.backend, text)).rows.map(([name]) => name));
      const relation = [...others.keys()].find((name) => here.has(name) !== there.has(name));
      return relation === undefined ? 'same' : { kind: 'relation', label, relation };
    });
    if (missing !== 'not known' && missing.length > 0) return missing;
    // One that is nowhere any more is the same everywhere.
    for (const [name, one] of others) if (there.has(name)) changed.set(name, one);
  }
  const texts = [[CHANGED_OBJECTS, 'functions, enums, triggers, schemas']];
  if (largeObjects === 'changed') texts.push([CHANGED_LARGE_OBJECTS, 'large objects']);
  for (const [text = '', catalog = ''] of texts) {
    const expected = (await ask(text)).rows[0]?.[0];
    const differing = await compareEach(session, followers, async ({ lease, node: { label } }) => {
      const found = (await answerOf(lease.backend, text)).rows[0]?.[0];
      return found === expected ? 'same' : { kind: 'objects', label, catalogs: [catalog] };
    });
    if (differing !== 'not known' && differing.length > 0) return differing;
  }
  const all = [...changed.values()];
  for (let at = 0; at < all.length; at += AT_ONCE) {
    const some = all.slice(at, at + AT_ONCE);
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

function relationsOf(rows: Rows): Map<string, ChangedRelation> {
  return new Map(
    rows.map(([name, compared]) => [
      name ?? '',
      { name: name ?? '', compared: compared === 'rows' ? 'rows' : 'nothing but itself' },
    ]),
  );
}
