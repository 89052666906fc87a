import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { root } from '../support/repository.ts';
import { differences, reconcile, renderDifferences } from './differences.ts';
import { extendedViolations } from './extended-violations.ts';
import { groups } from './groups.ts';
import { openings } from './openings.ts';
import { violations } from './violations.ts';

const page = join(root, 'docs', 'reference', 'protocol-support.md');
const [begin, end] = ['<!-- differences: from the code -->', '<!-- end of differences -->'];

describe('the declared differences', () => {
  it('are what docs/reference/protocol-support.md says', () => {
    const text = readFileSync(page, 'utf8');
    assert.ok(text.includes(begin) && text.includes(end), 'the page has a place for them');
    const head = text.slice(0, text.indexOf(begin) + begin.length);
    const expected = `${head}\n\n${renderDifferences()}\n\n${text.slice(text.indexOf(end))}`;
    if (process.env['PPROX_TEST_UPDATE'] === '1') writeFileSync(page, expected);
    assert.equal(readFileSync(page, 'utf8'), expected);
  });

  it('name tests that exist, and have titles of their own', () => {
    const names = new Set<string>([
      ...Object.keys(groups),
      ...Object.values(groups).flatMap((scripts) => scripts.map((script) => script.name)),
      ...['openings', 'violations', 'extended_violations', 'extended_glued'],
      ...[...openings, ...violations, ...extendedViolations].map((conversation) => conversation.name),
    ]);
    assert.deepEqual(
      differences.flatMap(({ where }) => where).filter((name) => !names.has(name)),
      [],
    );
    assert.equal(new Set(differences.map(({ title }) => title)).size, differences.length);
  });

  it('let through what they declare and nothing else', () => {
    const report = (code: string, rest = '') => `ErrorResponse\n    S="FATAL"\n    C="${code}"${rest}`;
    const source = '\n    F="postgres.c"\n    L="1"\n    R="f"';
    const theirs = [report('08P01', source), '(closed)'];
    const ours = [report('08P01'), '(closed)'];
    const against = (names: readonly string[], actual: readonly string[], statement = '') =>
      reconcile(names, [theirs], [actual], () => statement);
    assert.deepEqual(against(['violations'], ours), {
      expected: [ours],
      used: ['No source location in reports of pprox itself'],
    });
    assert.deepEqual(against(['types'], ours), { expected: [theirs], used: [] }, 'not declared for types');
    assert.notDeepEqual(against(['violations'], [report('08P02'), '(closed)']).expected, [
      [report('08P02'), '(closed)'],
    ]);
    assert.deepEqual(against(['violations'], theirs).used, []);

    const refused = [report('2D000'), 'ReadyForQuery I'];
    const procedures = ['procedures that end transactions'];
    assert.deepEqual(against(procedures, refused, 'CALL commits()').expected, [refused]);
    assert.deepEqual(against(procedures, refused, 'CALL others()').expected, [theirs], 'another statement');
    assert.deepEqual(against(procedures, [report('2D000'), 'ReadyForQuery E'], 'CALL commits()').expected, [theirs]);
  });
});
