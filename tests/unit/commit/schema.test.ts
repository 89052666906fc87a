import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { SCHEMA, SCHEMA_VERSION } from '../../../src/commit/decisions.ts';
import {
  followerProblem,
  planInstallation,
  publicationProblem,
  readSchemaState,
  schemaProblem,
} from '../../../src/commit/schema.ts';

type Row = readonly (string | null)[];

const current = String(SCHEMA_VERSION);
const all = Array.from({ length: 8 }, () => 't');
const none = Array.from({ length: 8 }, (): string | null => null);
const missing: Row = ['shop', 'app', null, null, null, ...none, 't'];
const ours: Row = ['shop', 'app', 'app', 't', current, ...all, 'f'];
const others: Row = ['shop', 'web', 'app', 'f', current, ...all.with(2, 'f'), 'f'];
const newer: Row = ['shop', 'app', 'app', 't', String(SCHEMA_VERSION + 1), ...all, 'f'];
const older: Row = ['shop', 'app', 'app', 't', '1', ...all.slice(0, 4), ...none.slice(0, 4), 'f'];
const foreign: Row = ['shop', 'app', 'app', 't', null, ...none.with(0, 't'), 'f'];

function refusalOf(row: Row, roles: readonly string[] = []): string | undefined {
  const plan = planInstallation(readSchemaState([row]), roles);
  return plan.kind === 'refused' ? plan.error.message : undefined;
}

suite('the schema of a database', () => {
  test('is no problem where it has this version and the role may use it', () => {
    assert.equal(schemaProblem([ours]), undefined);
  });

  test('that is missing, of another version or closed to the role is one, with what to do', () => {
    const problems = [missing, others, newer, foreign].map((row) => schemaProblem([row]));
    for (const problem of problems) assert.equal(problem?.sqlstate, '55000');
    assert.match(problems[0]?.hint ?? '', /Run bin\/pprox init --database shop/);
    assert.equal(problems[1]?.detail, 'It lacks INSERT ON pprox.decision.');
    assert.match(problems[2]?.message ?? '', /newer than this pprox knows/);
    assert.match(problems[3]?.message ?? '', /not of pprox's making/);
  });

  test('is made where it is missing, left alone where it is there, and opened to roles by its owner', () => {
    const plan = (row: Row, roles: readonly string[] = []) => planInstallation(readSchemaState([row]), roles);
    assert.deepEqual(plan(missing), { kind: 'possible', work: 'make', statements: SCHEMA });
    assert.deepEqual(plan(ours), { kind: 'possible', work: 'none', statements: [] });
    assert.deepEqual(plan(others), { kind: 'possible', work: 'none', statements: [] });
    const granted = plan(ours, ['a "b"']);
    assert.ok(granted.kind === 'possible' && granted.statements.every((text) => text.endsWith(' TO "a ""b"""')));
    assert.match(refusalOf(others, ['web']) ?? '', /belongs to role "app", not to "web"/);
  });

  test('is brought up to date by its owner', () => {
    assert.match(
      schemaProblem([older])?.message ?? '',
      new RegExp(`has version 1; this pprox needs version ${SCHEMA_VERSION}`),
    );
    const plan = planInstallation(readSchemaState([older]), []);
    assert.ok(plan.kind === 'possible' && plan.work === 'upgrade');
    assert.match(
      plan.statements.at(-1) ?? '',
      new RegExp(`CREATE OR REPLACE FUNCTION pprox.version\\(\\) .* 'SELECT ${SCHEMA_VERSION}'`),
    );
    assert.match(refusalOf(older.with(3, 'f')) ?? '', /belongs to role "app"/);
  });

  test('is never touched where it is newer, or not of our making, or the role may not make one', () => {
    assert.match(refusalOf(newer) ?? '', /newer/);
    assert.match(refusalOf(foreign) ?? '', /not of pprox's making/);
    assert.match(refusalOf([...missing.slice(0, -1), 'f']) ?? '', /role "app" may not create a schema/);
  });
});

test('publications that would carry decisions are named', () => {
  assert.equal(publicationProblem('shop', []), undefined);
  const problem = publicationProblem('shop', [['all', 'FOR ALL TABLES']]);
  assert.match(problem?.message ?? '', /publication "all" \(FOR ALL TABLES\)/);
});

test('a follower without places for prepared transactions is an error, one with few of them a warning', () => {
  assert.equal(followerProblem('follower x', 0, 40)?.kind, 'error');
  assert.equal(followerProblem('follower x', 39, 40)?.kind, 'warning');
  assert.equal(followerProblem('follower x', 40, 40), undefined);
});
