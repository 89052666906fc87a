/** The parser's own needs, apart from what it answers. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';

/** Parses as long as V8 would take to find the grammar worth optimising, and says by how much its process grew (KiB). */
const PARSE_FOR_A_WHILE = `
  const { loadParser, parse } = await import(process.argv[1]);
  const kinds = new Set();
  const read = (text) => kinds.add(parse(Buffer.from(text)).kind);
  await loadParser();
  read('SELECT 1');
  const before = process.resourceUsage().maxRSS;
  for (let round = 0; round < 50; round++) {
    for (let count = 0; count < 50; count++) read('UPDATE t SET a = a + 1 WHERE b = ' + count);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  const grownKib = process.resourceUsage().maxRSS - before;
  console.log(JSON.stringify({ kinds: [...kinds], grownKib }));
`;

test('parsing takes no memory by surprise', async () => {
  const parser = new URL('../../../src/sql/parser.js', import.meta.url).href;
  const { stdout } = await promisify(execFile)(process.execPath, [
    '--input-type=module',
    '--eval',
    PARSE_FOR_A_WHILE,
    parser,
  ]);
  const { kinds, grownKib }: { kinds: string[]; grownKib: number } = JSON.parse(stdout);
  assert.deepEqual(kinds, ['tree']);
  assert.ok(grownKib < 96 * 1024, `grew by ${Math.round(grownKib / 1024)} MiB`);
});
