import { describe, it } from 'node:test';
import { assertWritten, stepOf } from './battery.ts';
import { compareServers } from './contest.ts';
import { groups } from './groups.ts';
import { play } from './play.ts';
import type { Script } from './script.ts';

describe('protocol battery: extended queries are answered alike when the whole session comes in one write', () => {
  const scripts: readonly Script[] = [
    groups.extended_basics,
    groups.extended_blocks,
    groups.extended_copy,
    groups.extended_errors,
    groups.extended_formats,
    groups.extended_pipelines,
    groups.extended_portals,
    groups.extended_prepared,
    groups.extended_sessions,
    groups.extended_writes,
  ].flat();
  const contest = compareServers('extended_glued', scripts, (script, target) => play(script, target));

  for (const script of scripts) {
    it(`in ${script.name}`, async () => {
      assertWritten(script, contest.expected(script));
      const actual = await play(script, contest.target, { kind: 'glued', offsets: [] });
      contest.assertEqual(script, actual, (section) => stepOf(script, section));
    });
  }
  contest.conclude();
});
