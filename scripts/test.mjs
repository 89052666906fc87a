// All tests: `npm test`. Builds, checks types, lint and format, then runs the test files three at a time: many of them wait most of the time.
//
//   npm test -- fan-out psql     only the files whose path contains one of the words
//   npm test -- --no-lint        without the checks
//   npm test -- --list           the files, without running them
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readdirSync, rmSync, statfsSync } from 'node:fs';
import { freemem } from 'node:os';
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

/** Where Linux keeps files in memory. */
const MEMORY = '/dev/shm';
/** What three test files at a time have been seen to need at most, several times over. */
const MEMORY_BYTES = 12 * 1024 ** 3;
const FOLDER = /^pprox-tests-(\d+)-/;

/**
 * A folder in memory for the servers of the tests, or undefined where there is too little of it, or TMPDIR says where. A disk's file system takes
 * more time for the thousand files of each than the servers do to start.
 */
function folderInMemory() {
  if (process.env['TMPDIR'] !== undefined) return undefined;
  try {
    for (const name of readdirSync(MEMORY)) {
      const [, pid] = FOLDER.exec(name) ?? [];
      if (pid !== undefined && hasEnded(Number(pid))) rmSync(join(MEMORY, name), { recursive: true, force: true });
    }
    const { bavail, bsize } = statfsSync(MEMORY);
    // Of a container; 0 where there is none. What lies in files counts too.
    const limit = process.constrainedMemory() || Number.POSITIVE_INFINITY;
    if (Math.min(bavail * bsize, freemem(), limit) < MEMORY_BYTES) return undefined;
    const folder = mkdtempSync(join(MEMORY, `pprox-tests-${process.pid}-`));
    // Servers run under another account where the tests are root's.
    chmodSync(folder, 0o1777);
    return folder;
  } catch {
    return undefined;
  }
}

function hasEnded(pid) {
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return error.code === 'ESRCH';
  }
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
  const folder = folderInMemory();
  try {
    const run = spawnSync(process.execPath, ['--enable-source-maps', ...flags, ...files], {
      cwd: root,
      stdio: 'inherit',
      env: folder === undefined ? process.env : { ...process.env, TMPDIR: folder },
    });
    return run.status ?? 1;
  } finally {
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  }
}

process.exitCode = main(process.argv.slice(2));
