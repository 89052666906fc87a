/**
 * Bytes that are no messages, and messages with bytes changed: whatever comes, the proxy does not fall, hang or mix up
 * sessions. What PostgreSQL would answer is not compared. `PPROX_TEST_SEED` takes other bytes, `PPROX_TEST_RUNS` more.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import {
  bind,
  close,
  copyData,
  copyDone,
  describe,
  execute,
  flush,
  parse,
  query,
  sync,
} from '../support/frontend-messages.ts';
import { RawClient, type Target } from '../support/raw-client.ts';
import { type Arena, openArena } from '../support/targets.ts';
import { compareWriters } from './equality.ts';
import { samplesOf, within } from './samples.ts';

const DATABASE = 'battery_garbage';
const USUAL = { seed: 1, runs: 150 };

const messages: readonly Buffer[] = [
  parse('', 'SELECT $1::int'),
  parse('a', 'INSERT INTO g VALUES ($1)', [23]),
  bind('', '', { values: ['1'] }),
  bind('p', 'a', { values: ['2'] }),
  describe('S', 'a'),
  describe('P', 'p'),
  execute('', 1),
  execute('p'),
  close('S', 'a'),
  flush(),
  sync(),
  query('BEGIN'),
  query('SELECT 1; SELECT 2'),
  query('COPY g FROM STDIN'),
  copyData('7\n'),
  copyDone(),
  query('ROLLBACK'),
];

/** A sequence of messages in which some bytes are others. */
const damaged = fc
  .tuple(
    fc.array(fc.constantFrom(...messages), { minLength: 1, maxLength: 8 }),
    fc.array(fc.tuple(fc.nat(400), fc.nat(255)), { maxLength: 4 }),
  )
  .map(([parts, changes]) => {
    const bytes = Buffer.concat(parts);
    for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
    return bytes;
  });
const noise = fc.uint8Array({ minLength: 1, maxLength: 300 }).map((bytes) => Buffer.from(bytes));
const input = fc.oneof({ weight: 4, arbitrary: damaged }, { weight: 1, arbitrary: noise });

let arena: Arena | undefined;
before(async () => {
  arena = await openArena();
});
after(() => arena?.stop());

test('bytes that make no sense harm nobody but who has sent them', async () => {
  assert.ok(arena, 'the servers run');
  await arena.prepareSubject(DATABASE);
  const target: Target = { ...arena.subject, user: arena.user, database: DATABASE };
  const bystander = await RawClient.start(target);
  await bystander.query('CREATE TABLE g (v int)');
  for (const [at, sample] of samplesOf(input, USUAL).entries()) {
    await within(sample, async () => {
      const client = await RawClient.start(target);
      client.send(sample.value);
      // Whatever it was, no more of it comes: a session that waits for the rest of a message ends here.
      client.end();
      await client.waitClosed();
      const answer = await bystander.query(`SELECT ${at}`);
      const [row] = answer.flatMap((message) => (message.type === 'DataRow' ? message.values : []));
      assert.equal(String(row), String(at), `after ${sample.value.toString('hex')}`);
    });
  }
  await bystander.query('BEGIN; LOCK TABLE g; COMMIT');
  bystander.destroy();
  assert.deepEqual(arena.complaints(), []);
  assert.deepEqual(await compareWriters(arena.writers, DATABASE), []);
});
