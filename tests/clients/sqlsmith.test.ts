/**
 * Statements that SQLsmith makes at random: on its own connection, which rolls each of them back, and played by clients that commit.
 * None ends with an error of pprox beyond its refusals, and both writers hold the same.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { settled } from '../divergence/compare.ts';
import { clientTest } from '../support/client-programs.ts';
import { sampling } from '../support/sampling.ts';
import { dsnOf } from './comparison.ts';
import { run, succeed } from './program.ts';
import { play, report, writes } from './random-play.ts';
import { assertWritersEqual, createDatabases, fixture, openStage } from './stage.ts';

const stage = await openStage({ major: 18 });
const { numRuns, seed: firstSeed } = sampling(1);
const seeds = Array.from({ length: numRuns }, (_, index) => firstSeed + index);
/** Statements of SQLsmith's own connection. */
const RUN = 100;
/** Statements that are made for the clients: about one of eleven writes, and is played; of the others one of so many. */
const MADE = 800;
const OTHERS = 8;
const CLIENTS = 4;

/** Rows for every table, as often as wanted: SQLsmith deletes all of a table at times. */
const feed = [
  `INSERT INTO customer (id, name, feels, tags, note)
   SELECT i, 'name ' || i, (enum_range(NULL::mood))[1 + i % 3], ARRAY['a', i::text], jsonb_build_object('n', i)
   FROM generate_series(1, 40) i ON CONFLICT DO NOTHING`,
  "INSERT INTO ticket (customer, state) SELECT id, CASE WHEN id % 3 = 0 THEN 'closed' ELSE 'open' END FROM customer WHERE random() < 0.5",
  'INSERT INTO line SELECT id, 1 + id % 4, customer FROM ticket ON CONFLICT DO NOTHING',
  "INSERT INTO event (customer, what, payload) SELECT id, name, decode(md5(name), 'hex') FROM customer WHERE random() < 0.5",
  'INSERT INTO counted (n) SELECT generate_series(1, 10)',
  'INSERT INTO price (cents) SELECT random() * 1000 FROM generate_series(1, 10)',
  "INSERT INTO category SELECT i, nullif(i / 2, 0), 'label ' || i FROM generate_series(1, 30) i ON CONFLICT DO NOTHING",
  "INSERT INTO loose SELECT i % 5, 'row ' || i % 7 FROM generate_series(1, 15) i",
  'INSERT INTO pair SELECT i, 100 - i FROM generate_series(1, 30) i ON CONFLICT DO NOTHING',
  'INSERT INTO debt SELECT id, id, id FROM customer ON CONFLICT DO NOTHING',
  'INSERT INTO span SELECT i, int4range(i * 10, i * 10 + 5) FROM generate_series(1, 20) i ON CONFLICT DO NOTHING',
  `INSERT INTO kinds SELECT i, i % 2 = 0, i, i / 3.0, i / 7.0, i::bit(4), 'c' || i, '10.0.0.1'::inet + i, make_interval(hours => i),
   make_time(i % 24, 0, 0), to_tsvector('simple', 'word ' || i), ARRAY[i, i + 1] FROM generate_series(1, 20) i ON CONFLICT DO NOTHING`,
  'INSERT INTO reading (sensor, value) SELECT i * 2, i / 3.0 FROM generate_series(1, 30) i ON CONFLICT DO NOTHING',
  'INSERT INTO animal (id) SELECT generate_series(1, 10) ON CONFLICT DO NOTHING',
  'INSERT INTO dog (id) SELECT generate_series(11, 20) ON CONFLICT DO NOTHING',
  'INSERT INTO audited (id, n) SELECT i, i FROM generate_series(1, 15) i ON CONFLICT DO NOTHING',
];

/** A database of the fixture's tables with some rows, made through the proxy. */
async function makeTables(database: string): Promise<void> {
  await createDatabases(stage, database);
  const maker = await stage.proxy.connect({ database });
  await maker.query(readFileSync(fixture('sqlsmith.sql'), 'utf8'));
  for (const text of feed) await maker.query(text);
  await maker.end();
}

async function assertAlike(database: string): Promise<void> {
  await settled(stage.cluster.writers);
  await assertWritersEqual(stage, database);
}

/** What is logged of bugs: an internal error, and conditions that say that a server is lost, or is not what it was. */
function faults(since: number): readonly string[] {
  const bad = new Set([
    'internal',
    'server_lost',
    'follower_lost',
    'read_lost',
    'session_lost',
    'partly_executed',
    'commit_unknown',
  ]);
  return stage.proxy.lines
    .slice(since)
    .filter(({ level, fields }) => level === 'error' || bad.has(String(fields['condition'])))
    .map((line) => JSON.stringify(line));
}

/** Of what SQLsmith prints all that writes, and some others; nothing that could end a connection. */
function chosen(printed: string): readonly string[] {
  const texts = printed.split(';\n').map((text) => text.trim());
  return texts.filter(
    (text, index) =>
      text !== '' && (writes(text) || index % OTHERS === 0) && !text.includes('pg_catalog.pg_terminate_backend'),
  );
}

for (const seed of seeds) {
  const common = [`--seed=${seed}`, '--exclude-catalog'];

  clientTest(
    `SQLsmith's own connection outlives all of its statements (seed ${seed})`,
    'sqlsmith',
    async (program, context) => {
      const database = `sqlsmith_own_${seed}`;
      await makeTables(database);
      const before = stage.proxy.lines.length;
      const target = `--target=${dsnOf(stage.proxy, database)}`;
      const { status, stderr } = await run(program, [...common, target, '--verbose', `--max-queries=${RUN}`]);
      assert.equal(status, 0, stderr);
      // One letter for each statement; C: the connection was lost.
      const letters = /^[.etSC\n]+(?=\nqueries: )/m.exec(stderr)?.[0].replaceAll('\n', '') ?? '';
      assert.match(letters, new RegExp(`^[.etS]{${RUN}}$`), stderr);
      const refused = [...stderr.matchAll(/^(\d+)\tERROR: {2}the statement would not have the same effect/gm)];
      const refusals = refused.reduce((sum, [, number]) => sum + Number(number), 0);
      context.diagnostic(
        `${RUN} statements: ${letters.replaceAll('.', '').length} errors, ${refusals} of them refusals`,
      );
      assert.deepEqual(faults(before), []);
      await assertAlike(database);
    },
  );

  clientTest(
    `${CLIENTS} clients that play and commit what SQLsmith writes leave both writers equal (seed ${seed})`,
    'sqlsmith',
    async (program, context) => {
      const database = `sqlsmith_${seed}`;
      await makeTables(database);
      const before = stage.proxy.lines.length;
      // By the tables of the follower, which has no schema pprox.
      const target = `--target=${stage.cluster.w2.dsn(database)}`;
      const printed = await succeed(program, [...common, target, '--dry-run', `--max-queries=${MADE}`]);
      const dsn = dsnOf(stage.proxy, database);
      const statements = chosen(printed);
      const tally = await play({ dsn, clients: CLIENTS, seed, statements, feed });
      for (const line of report(tally)) context.diagnostic(line);
      assert.deepEqual(tally.wrong, []);
      assert.deepEqual(faults(before), []);
      assert.ok(tally.committed > 0 && tally.succeeded > 10, 'enough has been changed');
      await assertAlike(database);
    },
  );
}
