/** Every script of the battery, its bytes cut in two somewhere: one connection for each cut, in databases of their own. */
import assert from 'node:assert/strict';
import { after, before, describe, it, type TestContext } from 'node:test';
import { type Arena, openArena } from '../support/targets.ts';
import { compareTranscripts, type Section } from '../support/transcript.ts';
import { stepOf } from './battery.ts';
import { assertDeclared } from './contest.ts';
import { reconcile } from './differences.ts';
import { compareWriters } from './equality.ts';
import { allScripts, type GroupName, groups } from './groups.ts';
import { asNewest } from './older-servers.ts';
import { play, streamLength } from './play.ts';
import { everyOffset, generator, seed, someOffsets, wantedCuts } from './sampling.ts';
import type { Script } from './script.ts';
import { catalogScripts } from './scripts/catalog.ts';

/** Of each script, unless `PPROX_TEST_CUTS` says otherwise. */
const sampleSize = 1;
/** Of a script that is longer, `all` means so many places, evenly spread. */
const most = 5000;
/** Of one group: a sample takes seconds; all places, hours. */
const patienceMs = wantedCuts === undefined ? 300_000 : 24 * 3600 * 1000;

/** Scripts that are played one after the other, in a database of their own for each turn. */
interface Lane {
  readonly name: string;
  readonly scripts: readonly Script[];
}

/** They list everything there is, roles included: nothing else may happen meanwhile. */
const alone: Lane = { name: 'the catalog', scripts: catalogScripts };

function lane(...members: readonly GroupName[]): Lane {
  const scripts = members.flatMap((group): readonly Script[] => groups[group]);
  return { name: members.join(', '), scripts: scripts.filter((script) => !alone.scripts.includes(script)) };
}

/** Played at the same time. Equally long, roughly. */
const lanes: readonly Lane[] = [
  lane('definitions', 'limits', 'queries', 'transactions', 'types'),
  lane('copy', 'error_positions', 'messages', 'sessions', 'writes'),
  lane('extended_basics', 'extended_blocks', 'extended_copy', 'extended_errors', 'extended_formats'),
  lane('extended_pipelines', 'extended_portals', 'extended_prepared', 'extended_sessions', 'extended_writes'),
];

const user = 'postgres';

/** All of one length, so that a script is as long in each. */
const databaseOf = (lane: number, turn: number): string => `battery_cut_${lane}_${String(turn).padStart(4, '0')}`;

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

const expected = new Map<Script, readonly Section[]>();
let arena: Arena | undefined;
const opened = (): Arena => {
  assert.ok(arena, 'the servers run');
  return arena;
};

/** On the bare server, in one piece. */
async function playBare({ scripts }: Lane, index: number): Promise<void> {
  const { bare, prepareBare } = opened();
  const database = databaseOf(index, 0);
  await prepareBare(database);
  for (const script of scripts) {
    expected.set(script, nameless(await play(script, { ...bare, user, database }), database));
  }
}

/** Each script at one place after the other. In turns, so that no database sees a script twice. */
async function playCut({ scripts }: Lane, index: number, context: TestContext): Promise<void> {
  const random = generator(seed + index);
  const plans = scripts.map((script) => ({ script, offsets: offsets(script, random) }));
  const used = new Set<string>();
  const faults: string[] = [];
  let cuts = 0;
  const turns = Math.max(...plans.map((plan) => plan.offsets.length));
  for (let turn = 0; turn < turns && faults.length <= 20; turn++) {
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
        faults.push(`${script.name}, cut at ${offset}, section ${section}: ${step(section).slice(0, 300)}\n${text}`);
      }
    }
    const unequal = await compareWriters(opened().writers, database);
    faults.push(...unequal.map((line) => `with the cuts of turn ${turn}: ${line}`));
    await opened().drop(database);
  }
  context.diagnostic(`${cuts} cuts, PPROX_TEST_SEED=${seed}`);
  assert.ok(faults.length === 0, `PPROX_TEST_SEED=${seed}\n${faults.join('\n')}`);
  const names = scripts.flatMap((script) => [script.name, groupOf.get(script) ?? '']);
  assertDeclared(opened(), used, names);
}

before(async () => {
  arena = await openArena();
  await playBare(alone, lanes.length);
  await Promise.all(lanes.map(playBare));
});
after(async () => arena?.stop());

describe('protocol battery: no answer depends on where the bytes are cut', () => {
  it(`in the scripts of ${alone.name}`, { timeout: patienceMs }, (context) => playCut(alone, lanes.length, context));

  describe('in scripts that are played at the same time', { concurrency: lanes.length }, () => {
    for (const [index, each] of lanes.entries()) {
      it(`in the scripts of ${each.name}`, { timeout: patienceMs }, (context) => playCut(each, index, context));
    }
  });

  it('and every script takes part', () => {
    const played = [alone, ...lanes].flatMap(({ scripts }) => scripts.map(({ name }) => name));
    assert.deepEqual(played.toSorted(), allScripts.map(({ name }) => name).toSorted());
  });
  it('and the subject logs no error of its own', () => {
    assert.deepEqual(opened().complaints(), []);
  });
});
