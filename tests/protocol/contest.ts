/** What every comparison shares: the servers, the bare server's answers, the declared differences, the writers at the end. */
import assert from 'node:assert/strict';
import { after, before, it } from 'node:test';
import type { Target } from '../support/raw-client.ts';
import { testMajor } from '../support/major.ts';
import { type Arena, openArena } from '../support/targets.ts';
import { compareTranscripts, type Section } from '../support/transcript.ts';
import { declaredFor, reconcile } from './differences.ts';
import { compareWriters } from './equality.ts';
import { asNewest } from './older-servers.ts';

export interface Contest<Item> {
  /** The subject, from `before` hooks on. */
  readonly target: Target;
  /** The bare server's answers to this item. */
  expected(item: Item): readonly Section[];
  /** Fails with both sides of each section that differs. `step` says what a section answers. */
  assertEqual(item: Item, actual: readonly Section[], step: (section: number) => string): void;
  /** Registers the last tests: of what the others left behind. */
  conclude(): void;
}

/**
 * To be called inside `describe`. Plays every item on the bare server, in a database of its own, before the first
 * test; makes the subject's database of the same name afterwards.
 */
export function compareServers<Item extends { readonly name: string }>(
  topic: string,
  items: readonly Item[],
  play: (item: Item, target: Target) => Promise<readonly Section[]>,
): Contest<Item> {
  const database = `battery_${topic}`;
  const answers = new Map<Item, readonly Section[]>();
  const used = new Set<string>();
  let arena: Arena | undefined;

  const opened = (): Arena => {
    assert.ok(arena, 'the servers run');
    return arena;
  };
  before(async () => {
    arena = await openArena();
    await arena.prepareBare(database);
    for (const item of items) {
      const answer = play(item, { ...arena.bare, user: arena.user, database });
      const named = (cause: unknown): never => {
        throw new Error(`PostgreSQL did not go on with ${item.name}: ${String(cause)}`, { cause });
      };
      answers.set(item, await answer.catch(named));
    }
    await arena.prepareSubject(database);
  });
  after(async () => arena?.stop());

  return {
    get target() {
      return { ...opened().subject, user: opened().user, database };
    },
    expected: (item) => answers.get(item) ?? [],
    assertEqual: (item, actual, step) => {
      const expected = (answers.get(item) ?? []).map((section, index) => asNewest(section, actual[index] ?? []));
      const reconciled = reconcile([topic, item.name], expected, actual, step);
      for (const title of reconciled.used) used.add(title);
      const faults = compareTranscripts(reconciled.expected, actual).map(
        ({ section, text }) => `${item.name}, section ${section}: ${step(section).slice(0, 300)}\n${text}`,
      );
      assert.ok(faults.length === 0, `\n${faults.join('\n')}`);
    },
    conclude: () => {
      it('leaves the same rows and definitions on every writer', async () => {
        assert.deepEqual(await compareWriters(opened().writers, database), []);
      });
      it('makes the subject log no error of its own', () => {
        assert.deepEqual(opened().complaints(), []);
      });
      it('needs every difference that is declared for it', () => {
        assertDeclared(opened(), used, [topic, ...items.map(({ name }) => name)]);
      });
    },
  };
}

/** Differences of these names were needed, all of them and no other: on the newest major, since older ones do not show all. */
export function assertDeclared(arena: Arena, used: ReadonlySet<string>, names: readonly string[]): void {
  const declared = arena.kind === 'bare' ? [] : declaredFor(names).map(({ title }) => title);
  const demanded = testMajor === undefined ? declared : declared.filter((title) => used.has(title));
  assert.deepEqual([...used].toSorted(), demanded.toSorted());
}
