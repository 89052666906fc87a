// All tests: `npm test`. Builds, checks types, lint and format, then runs the test files three at a time: many of them wait most of the time.
//
//   npm test -- fan-out psql     only the files whose path contains one of the words
//   npm test -- --no-lint        without the checks
//   npm test -- --list           the files, without running them
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from './build.mjs';
import { lint } from './lint.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
/** Of a single test: far beyond what any takes, so that a hang ends with the name of the test that hung. */
const testTimeoutMs = 300_000;

/** Folder arguments of `node --test` mean different things in different versions: files are listed here instead. */
function testFiles(words) {
  const all = readdirSync(join(root, 'dist', 'tests'), { recursive: true })
    .filter((name) => name.endsWith('.test.js'))
    .map((name) => join('dist', 'tests', name))
    .toSorted();
  return words.length === 0 ? all : all.filter((name) => words.some((word) => name.includes(word)));
}

function main(args) {
  const options = args.filter((arg) => arg.startsWith('--'));
  const unknown = options.filter((option) => !['--no-lint', '--list'].includes(option));
  if (unknown.length > 0) {
    console.error(`Unknown option ${unknown.join(' ')}. Known: --no-lint, --list, and words of file names.`);
    return 2;
  }
  const built = build();
  if (built !== 0) return built;
  const files = testFiles(args.filter((arg) => !arg.startsWith('--')));
  if (files.length === 0) {
    console.error('No test file has such a name.');
    return 2;
  }
  if (options.includes('--list')) {
    for (const file of files) console.log(relative(root, join(root, file)));
    return 0;
  }
  if (!options.includes('--no-lint') && lint() !== 0) return 1;
  const flags = ['--test', '--test-concurrency=3', `--test-timeout=${testTimeoutMs}`, '--test-reporter=spec'];
  const run = spawnSync(process.execPath, ['--enable-source-maps', ...flags, ...files], {
    cwd: root,
    stdio: 'inherit',
  });
  return run.status ?? 1;
}

process.exitCode = main(process.argv.slice(2));
