import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { CONDITIONS, type Condition, PproxError } from '../../../src/lib/errors.ts';
import { filesBelow, readText, root } from '../../support/repository.ts';

const page = 'docs/reference/errors.md';
const [begin, end] = ['<!-- conditions: from the code -->', '<!-- end of conditions -->'];
const rows = Object.entries(CONDITIONS);

function render(): string {
  const lines = rows.map(
    ([name, { sqlstate, outcome, when }]) => `| \`${name}\` | \`${sqlstate}\` | ${outcome} | ${when} |`,
  );
  return ['| Condition | SQLSTATE | Outcome | When |', '| --- | --- | --- | --- |', ...lines].join('\n');
}

suite('the table of errors', () => {
  test('is what docs/reference/errors.md says', () => {
    const text = readText(page);
    assert(text.includes(begin) && text.includes(end), 'the page has a place for it');
    const head = text.slice(0, text.indexOf(begin) + begin.length);
    const expected = `${head}\n\n${render()}\n\n${text.slice(text.indexOf(end))}`;
    if (process.env['PPROX_TEST_UPDATE'] === '1') writeFileSync(join(root, page), expected);
    assert.equal(readText(page), expected);
  });

  test('has no row that nothing raises', () => {
    const sources = filesBelow('src', '.ts').filter((path) => path !== 'src/lib/errors.ts');
    const code = sources.map(readText).join('\n');
    const idle = rows
      .map(([name]) => name)
      .filter((name) => !new RegExp(`(PproxError|OwnError|super)\\(\\s*'${name}'`).test(code));
    assert.deepEqual(idle, []);
  });

  test('says 08007 of what is unknown, and of nothing else', () => {
    for (const [name, { sqlstate, outcome }] of rows) assert.equal(sqlstate === '08007', outcome === 'unknown', name);
    const about = { message: 'lost', sqlstate: '42P04' };
    assert.throws(() => new PproxError('partly_executed', about), /what is unknown is 08007/);
    assert.equal(new PproxError('follower_failed', about).sqlstate, '42P04');
  });

  test('has what could not be sent as rolled back where it was the end of a transaction, and nothing else as otherwise', () => {
    for (const [name, { outcome }] of rows) {
      const told = new PproxError(name as Condition, { message: 'm', detail: 'd', hint: 'h', where: 'w' });
      const ended = told.ofTransaction();
      assert.equal(ended.outcome, outcome === 'not_sent' ? 'rolled_back' : outcome);
      for (const field of ['condition', 'sqlstate', 'message', 'detail', 'hint', 'where'] as const)
        assert.equal(ended[field], told[field]);
    }
  });
});
