/** Every script of the battery, its bytes cut in two somewhere: one connection for each cut, in databases of their own. */
import assert from 'node:assert/strict';
import { after, before, describe, it, type TestContext } from 'node:test';
import { type Arena, openArena } from '../support/targets.ts';
import { compareTranscripts, type Section } from '../support/transcript.ts';
import { stepOf } from './battery.ts';
import { assertDeclared } from './contest.ts';
import { reconcile } from './differences.ts';
import { compareWriters } from './equality.ts';
import { type GroupName, groups } from './groups.ts';
import { asNewest } from './older-servers.ts';
import { play, streamLength } from './play.ts';
import { everyOffset, generator, seed, someOffsets, wantedCuts } from './sampling.ts';
import type { Script } from './script.ts';

/** Of each script, unless `PPROX_TEST_CUTS` says otherwise. */
const sampleSize = 1;
/** Of a script that is longer, `all` means so many places, evenly spread. */
const most = 5000;
/** Of one group: a sample takes seconds; all places, hours. */
const patienceMs = wantedCuts === undefined ? 300_000 : 24 * 3600 * 1000;

/** Played at the same time, each in a database of its own for each turn. Equally long, roughly. */
const lanes: readonly (readonly GroupName[])[] = [
  ['definitions', 'limits', 'queries', 'transactions', 'types'],
  ['copy', 'messages', 'sessions', 'writes'],
  ['extended_basics', 'extended_blocks', 'extended_copy', 'extended_errors', 'extended_formats'],
  ['extended_pipelines', 'extended_portals', 'extended_prepared', 'extended_sessions', 'extended_writes'],
];

const user = 'postgres';

/** All of one length, so that a script is as long in each. */
const databaseOf = (lane: number, turn: number): string => `battery_cut_${lane}_${String(turn).padStart(4, '0')}`;

const scriptsOf = (lane: readonly GroupName[]): readonly Script[] =>
  lane.flatMap((group): readonly Script[] => groups[group]);

const groupOf = new Map(
  Object.entries(groups).flatMap(([group, scripts]) => scripts.map((script): [Script, string] => [script, group])),
);

/** The transcript with the database's name left out: each turn has another. */
const nameless = (sections: readonly Section[], database: string): readonly Section[] =>
  sections.map((section) => section.map((line) => line.replaceAll(database, 'battery_cut')));

function offsets(script: Script, random: () => number): readonly number[] {
  const length = streamLength(script, { host: '', port: 0, user, database: databaseOf(0, 0) });
  if (wantedCuts !== 'all') return someOffsets(length, wantedCuts ?? sampleSize, random);
  const stride = Math.ceil(length / most);
  const phase = Math.floor(random() * stride);
  return everyOffset(length).filter((offset) => offset % stride === phase);
}

describe('protocol battery: no answer depends on where the bytes are cut', { concurrency: lanes.length }, () => {
  const expected = new Map<Script, readonly Section[]>();
  let arena: Arena | undefined;
  const opened = (): Arena => {
    assert.ok(arena, 'the servers run');
    return arena;
  };

  before(async () => {
    arena = await openArena();
    const { bare, prepareBare } = arena;
    const playAll = async (lane: readonly GroupName[], index: number): Promise<void> => {
      const database = databaseOf(index, 0);
      await prepareBare(database);
      for (const script of scriptsOf(lane)) {
        expected.set(script, nameless(await play(script, { ...bare, user, database }), database));
      }
    };
    await Promise.all(lanes.map(playAll));
  });
  after(async () => arena?.stop());

  for (const [index, lane] of lanes.entries()) {
    it(`in the scripts of ${lane.join(', ')}`, { timeout: patienceMs }, async (context: TestContext) => {
      const scripts = scriptsOf(lane);
      const random = generator(seed + index);
      const plans = scripts.map((script) => ({ script, offsets: offsets(script, random) }));
      const used = new Set<string>();
      const faults: string[] = [];
      let cuts = 0;
      const turns = Math.max(...plans.map((plan) => plan.offsets.length));
      for (let turn = 0; turn < turns; turn++) {
        const database = databaseOf(index, turn);
        await opened().prepareSubject(database);
        const target = { ...opened().subject, user, database };
        for (const plan of plans) {
          const offset = plan.offsets[turn];
          if (offset === undefined) continue;
          cuts += 1;
          const { script } = plan;
          const actual = nameless(await play(script, target, { kind: 'cut', offsets: [offset] }), database);
          const step = (section: number): string => stepOf(script, section);
          const bare = (expected.get(script) ?? []).map((section, at) => asNewest(section, actual[at] ?? []));
          const reconciled = reconcile([groupOf.get(script) ?? '', script.name], bare, actual, step);
          for (const title of reconciled.used) used.add(title);
          for (const { section, text } of compareTranscripts(reconciled.expected, actual)) {
            faults.push(
              `${script.name}, cut at ${offset}, section ${section}: ${step(section).slice(0, 300)}\n${text}`,
            );
          }
        }
        const unequal = await compareWriters(opened().writers, database);
        faults.push(...unequal.map((line) => `with the cuts of turn ${turn}: ${line}`));
        if (turn > 0) await opened().drop(database);
        if (faults.length > 20) break;
      }
      context.diagnostic(`${cuts} cuts, PPROX_TEST_SEED=${seed}`);
      assert.ok(faults.length === 0, `PPROX_TEST_SEED=${seed}\n${faults.join('\n')}`);
      assertDeclared(opened(), used, [...lane, ...scripts.map(({ name }) => name)]);
    });
  }

  it('and every group of scripts takes part', () => {
    assert.deepEqual(lanes.flat().toSorted(), Object.keys(groups).toSorted());
  });
  it('and the subject logs no error of its own', () => {
    assert.deepEqual(opened().complaints(), []);
  });
});
