import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { root } from '../support/repository.ts';
import { declaredFor, differences, reconcile, renderDifferences } from './differences.ts';
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
      ...['openings', 'violations'],
      ...[...openings, ...violations].map((conversation) => conversation.name),
    ]);
    assert.deepEqual(
      differences.flatMap(({ where }) => where).filter((name) => !names.has(name)),
      [],
    );
    assert.equal(new Set(differences.map(({ title }) => title)).size, differences.length);
  });

  it('let through what they declare and nothing else', () => {
    const theirs = [
      'ErrorResponse\n    S="FATAL"\n    C="08P01"\n    F="postgres.c"\n    L="1"\n    R="f"',
      '(closed)',
    ];
    const ours = ['ErrorResponse\n    S="FATAL"\n    C="08P01"', '(closed)'];
    assert.deepEqual(reconcile(['violations'], [theirs], [ours]).expected, [ours]);
    assert.deepEqual(reconcile(['violations'], [theirs], [ours]).used, declaredFor(['violations']).slice(0, 1));
    assert.deepEqual(reconcile(['types'], [theirs], [ours]).expected, [theirs], 'not declared for types');
    const another = ['ErrorResponse\n    S="FATAL"\n    C="08P02"', '(closed)'];
    assert.notDeepEqual(reconcile(['violations'], [theirs], [another]).expected, [another]);
    assert.deepEqual(reconcile(['violations'], [theirs], [theirs]).used, []);
  });
});
