/**
 * Random sequences of extended query messages, valid and not, on bare PostgreSQL and through pprox: the same answers, and
 * the same rows in the end. The sequences are the same each time; `PPROX_TEST_SEED` takes others, `PPROX_TEST_RUNS` more.
 *
 * Some of them crash PostgreSQL itself (Execute of the unnamed portal in a block that a Query has failed, where the portal is
 * that Query's: it is used after it was freed). There is nothing to compare with then, and the run is void.
 */
import assert from 'node:assert/strict';
import { after, before, test, type TestContext } from 'node:test';
import type { BackendMessage } from '../support/backend-messages.ts';
import { query } from '../support/frontend-messages.ts';
import { RawClient, type Target } from '../support/raw-client.ts';
import { type Arena, openArena } from '../support/targets.ts';
import { CrashWitness } from './crash-witness.ts';
import { compareWriters } from './equality.ts';
import { type Message, session } from './random-messages.ts';
import { type Sample, samplesOf, within } from './samples.ts';

const DATABASE = 'battery_random';
const USUAL = { seed: 5, runs: 40 };
/** Differences that a failure shows. */
const SHOWN = 5;
/** Of so many runs, how many may be void. */
const mayBeVoid = (runs: number): number => Math.max(2, Math.floor(runs / 20));

type Parts = readonly (readonly Message[])[];

/** The server has ended the connection with no word about it. */
class Ended extends Error {}

/** What a client goes by; where in PostgreSQL's source an error comes from is not. */
function essence(one: BackendMessage): string {
  switch (one.type) {
    case 'ErrorResponse':
    case 'NoticeResponse': {
      const fields = new Map(one.fields);
      // What is wrong with a message may be said with other names of its statement.
      return `${one.type} ${fields.get('C')} ${fields.get('C') === '08P01' ? '' : fields.get('M')}`;
    }
    case 'DataRow':
      return `DataRow ${one.values.map(String).join(', ')}`;
    case 'RowDescription':
      return `RowDescription ${one.fields.map(({ name }) => name).join(', ')}`;
    case 'CommandComplete':
      return `CommandComplete ${one.tag}`;
    case 'ReadyForQuery':
      return `ReadyForQuery ${one.status}`;
    default:
      return one.type;
  }
}

/** Sends `parts` and returns what comes up to the next ReadyForQuery. */
async function ask(client: RawClient, ...parts: readonly Buffer[]): Promise<readonly BackendMessage[]> {
  const from = client.messages.length;
  const { readies } = client;
  client.send(...parts);
  await client.waitReady(readies + 1);
  const answer = client.messages.slice(from);
  if (client.readies === readies) assertReason(answer);
  return answer;
}

/** Throws `Ended` where a connection that has ended was given no reason. */
function assertReason(answer: readonly BackendMessage[]): void {
  const fatal = answer.some((one) => one.type === 'ErrorResponse' && /^(FATAL|PANIC)$/.test(severity(one.fields)));
  if (!fatal) throw new Ended(`the connection ended behind ${answer.map(essence).join(', ') || 'nothing'}`);
}

function severity(fields: readonly (readonly [string, string])[]): string {
  return fields.find(([letter]) => letter === 'V')?.[1] ?? '';
}

async function play(target: Target, parts: Parts): Promise<string[]> {
  const client = await RawClient.start(target);
  try {
    if (client.readies === 0) throw new Ended(`no session: ${client.messages.map(essence).join(', ') || 'no answer'}`);
    await ask(client, query('DROP TABLE IF EXISTS r, s'));
    await ask(
      client,
      query(
        "CREATE TABLE r (id int PRIMARY KEY, v text); INSERT INTO r VALUES (1, 'one'), (2, 'two'); CREATE TABLE s (id serial PRIMARY KEY, v text)",
      ),
    );
    const seen: string[] = [];
    for (const part of parts) {
      const answer = await ask(client, ...part.map(({ bytes }) => bytes));
      seen.push(...part.map(({ shown }) => `> ${shown}`), ...answer.map(essence));
    }
    await ask(client, query('ROLLBACK'));
    seen.push(...(await ask(client, query('SELECT * FROM r ORDER BY id'))).map(essence));
    seen.push(...(await ask(client, query('SELECT v FROM s ORDER BY id'))).map(essence));
    return seen;
  } finally {
    client.destroy();
  }
}

/** What stands around the first difference; undefined where there is none. */
function difference(actual: readonly string[], expected: readonly string[], where: string): string | undefined {
  const at = expected.findIndex((line, index) => actual[index] !== line);
  if (at < 0 && actual.length === expected.length) return undefined;
  const from = expected.slice(0, at).findLastIndex((line) => /^> (Sync|Query)/.test(line));
  const start = expected.slice(0, from).findLastIndex((line) => line.startsWith('ReadyForQuery')) + 1;
  const text = (lines: readonly string[]): string => lines.slice(start, at + 3).join('\n  ');
  return `${where}\nPostgreSQL:\n  ${text(expected)}\nsubject:\n  ${text(actual)}`;
}

/** What PostgreSQL answers to each sample; those on which it crashes are left out, and said. */
async function playBare(
  target: Target,
  samples: readonly Sample<Parts>[],
  t: TestContext,
): Promise<ReadonlyMap<Sample<Parts>, readonly string[]>> {
  const expected = new Map<Sample<Parts>, readonly string[]>();
  const witness = await CrashWitness.start(target);
  try {
    for (const sample of samples) {
      await within(sample, async () => {
        try {
          expected.set(sample, await play(target, sample.value));
        } catch (error) {
          if (!(error instanceof Ended)) throw error;
          await witness.confirmCrash();
          t.diagnostic(`void: PostgreSQL itself crashed (${error.message}) in ${sample.name}`);
        }
      });
    }
  } finally {
    witness.stop();
  }
  return expected;
}

let arena: Arena | undefined;
before(async () => {
  arena = await openArena();
});
after(() => arena?.stop());

test('random messages of the extended query protocol are answered as PostgreSQL answers them', async (t) => {
  assert.ok(arena, 'the servers run');
  const { bare, subject, user, writers } = arena;
  const samples = samplesOf(session, USUAL);
  await arena.prepareBare(DATABASE);
  const expected = await playBare({ ...bare, user, database: DATABASE }, samples, t);
  const voided = samples.length - expected.size;
  assert.ok(voided <= mayBeVoid(samples.length), `${voided} of ${samples.length} runs crashed PostgreSQL itself`);
  await arena.prepareSubject(DATABASE);
  const found: string[] = [];
  for (const [sample, answers] of expected) {
    // That the subject ends a connection is an error, and ends the test.
    const actual = await within(sample, () => play({ ...subject, user, database: DATABASE }, sample.value));
    const one = difference(actual, answers, sample.name);
    if (one !== undefined) found.push(one);
  }
  assert.equal(found.length, 0, found.slice(0, SHOWN).join('\n\n'));
  assert.deepEqual(await compareWriters(writers, DATABASE), []);
});
