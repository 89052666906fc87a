/** Which definitions transactions are told to be planned by, as they change on the lead and in this process. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  CountedHere,
  CountedOnLead,
  type DefinitionAsker,
  type Edition,
  sameEdition,
  unchanged,
  UNKNOWN_EDITION,
} from '../../../src/commit/definitions.ts';
import { TransactionIds, changesDefinitions } from '../../../src/commit/gid.ts';
import { BackendLostError } from '../../../src/backend/receiver.ts';

/** A lead, and followers that show what it does once they are let to. */
class World {
  counts: [relations: number, objects: number, own: number, sequences: number] = [0, 0, 0, 0];
  asked = 0;
  waited = 0;
  forgotten = 0;
  sequencesForgotten = 0;
  followers: 'over' | 'unknown' = 'over';
  lost = 0;
  readonly definitions = new CountedOnLead({
    process: '00000000-0000-8000-8000-000000000000',
    preparedOver: async () => {
      this.waited++;
      return this.followers;
    },
    forget: () => {
      this.forgotten++;
    },
    forgetSequences: () => {
      this.sequencesForgotten++;
    },
  });

  asker(): DefinitionAsker {
    const ask = async (): Promise<string[][]> => {
      this.asked++;
      await Promise.resolve();
      if (this.lost-- > 0)
        throw new BackendLostError({
          server: 'lead',
          reason: 'idle',
          message: 'lost',
          fatal: undefined,
          fatalFrame: undefined,
        });
      return [this.counts.map(String)];
    };
    const wait: DefinitionAsker['wait'] = (work) => work(new AbortController().signal);
    return { key: 'a', account: { user: 'a', database: 'a' }, place: 'outside', ask, wait, askBeside: ask };
  }

  edition(): Edition {
    const [relations, objects, own, sequences] = this.counts.map(String);
    return { relations: relations ?? '', objects: objects ?? '', own: own ?? '', sequences: sequences ?? '' };
  }
}

describe('counted on the lead', () => {
  test('an edition is asked for once for a while', async () => {
    const world = new World();
    assert.deepEqual(await world.definitions.current(world.asker()), world.edition());
    assert.deepEqual(world.definitions.current(world.asker()), world.edition(), 'at once');
    assert.equal(world.asked, 1);
  });

  test('what is outdated is asked for again, whatever was confirmed before', async () => {
    const world = new World();
    const before = performance.now();
    const edition = await world.definitions.current(world.asker());
    world.counts = [0, 1, 0, 0];
    world.definitions.outdate();
    world.definitions.confirm(world.asker(), edition, before);
    assert.deepEqual(await world.definitions.current(world.asker()), world.edition());
    assert.deepEqual([world.waited, world.forgotten], [2, 2], 'the followers have it, and nothing is known of before');
  });

  test("changes of relations of one's own are none that others are waited for", async () => {
    const world = new World();
    await world.definitions.current(world.asker());
    world.counts = [0, 0, 5, 0];
    world.definitions.outdate();
    assert.deepEqual(await world.definitions.current(world.asker()), world.edition());
    assert.deepEqual([world.waited, world.forgotten], [1, 1]);
  });

  test('where a follower does not answer there is none that a transaction could commit with', async () => {
    const world = new World();
    world.followers = 'unknown';
    const edition = await world.definitions.current(world.asker());
    assert.deepEqual(edition, UNKNOWN_EDITION);
    assert.ok(!sameEdition(edition, world.edition()));
    world.followers = 'over';
    assert.deepEqual(await world.definitions.current(world.asker()), world.edition(), 'it is not kept');
  });

  test('a transaction that ends waits for no follower, and what is known is forgotten once', async () => {
    const world = new World();
    await world.definitions.current(world.asker());
    world.counts = [1, 0, 0, 0];
    world.definitions.outdate();
    for (let time = 0; time < 3; time++)
      assert.deepEqual(await world.definitions.known(world.asker()), world.edition());
    assert.deepEqual([world.waited, world.forgotten], [1, 2]);
    await world.definitions.current(world.asker());
    assert.deepEqual([world.waited, world.forgotten], [2, 2]);
  });

  test('a transaction that reads an older state is of that, and nobody else is', async () => {
    const world = new World();
    world.counts = [3, 0, 0, 0];
    const newest = await world.definitions.current(world.asker());
    world.counts = [2, 0, 0, 0];
    assert.deepEqual(await world.definitions.ofSnapshot(world.asker()), world.edition());
    assert.equal(world.waited, 2);
    assert.deepEqual(world.definitions.current(world.asker()), newest);
    assert.equal(world.forgotten, 1, 'what is known is newer');
    world.counts = [4, 0, 0, 0];
    await world.definitions.ofSnapshot(world.asker());
    assert.equal(world.forgotten, 2, 'what is known is older');
  });

  test('it is known how long an edition has lasted', async () => {
    const world = new World();
    const start = performance.now();
    const edition = await world.definitions.current(world.asker());
    assert.ok(world.definitions.lasted(world.asker(), edition, start, unchanged));
    const done = performance.now();
    assert.ok(!world.definitions.lasted(world.asker(), edition, done, unchanged), 'nobody has looked since');
    await world.definitions.witness(world.asker());
    world.counts = [0, 1, 0, 0];
    world.definitions.outdate();
    const next = await world.definitions.current(world.asker());
    assert.ok(world.definitions.lasted(world.asker(), edition, done, unchanged));
    assert.ok(!world.definitions.lasted(world.asker(), edition, performance.now(), unchanged));
    assert.ok(!world.definitions.lasted(world.asker(), next, performance.now(), unchanged));
  });

  test('a decision tells nothing of what this process has changed of relations', async () => {
    const world = new World();
    const edition = await world.definitions.current(world.asker());
    const done = performance.now();
    world.definitions.confirm(world.asker(), edition, performance.now());
    assert.ok(world.definitions.lasted(world.asker(), edition, done, sameEdition));
    assert.ok(!world.definitions.lasted(world.asker(), edition, done, unchanged));
  });

  test('an idle connection that is lost is asked for again', async () => {
    const world = new World();
    world.lost = 1;
    assert.deepEqual(await world.definitions.now(world.asker()), world.edition());
    world.lost = 2;
    await assert.rejects(world.definitions.now(world.asker()), /could not be read: lost/);
  });
});

describe('counted by a process for itself', () => {
  test('nobody is planned while a change of objects is under way', async () => {
    const here = new CountedHere();
    const before = here.edition;
    let end = (): void => undefined;
    const commit = new Promise<void>((resolve) => {
      end = resolve;
    });
    const work = here.changing('objects', () => commit);
    assert.ok(!sameEdition(before, here.edition), 'who was planned before is told');
    let planned: Edition | undefined;
    const waiting = Promise.resolve(here.current(new World().asker())).then((edition) => (planned = edition));
    await Promise.resolve();
    assert.equal(planned, undefined);
    end();
    await work;
    assert.deepEqual(await waiting, here.edition);
  });

  test('a change of relations is told to who reads an older state', async () => {
    const here = new CountedHere();
    const before = here.edition;
    await here.changing('relations', async () => assert.deepEqual(here.beginning, UNKNOWN_EDITION, 'of none'));
    assert.deepEqual(here.beginning, here.edition);
    await here.changing('nothing', async () => undefined);
    assert.ok(sameEdition(before, here.edition));
    assert.notDeepEqual(before, here.edition, 'but of who reads an older state');
  });
});

test('the id of a transaction says whether it changes definitions', () => {
  const ids = new TransactionIds();
  for (let time = 0; time < 100; time++) {
    assert.equal(changesDefinitions(ids.next()), false);
    assert.equal(changesDefinitions(ids.next('definitions')), true);
  }
  assert.equal(changesDefinitions('0b2f0b2f-0b2f-4b2f-ab2f-0b2f0b2f0b2f'), false, 'nor is one that is not ours');
});
