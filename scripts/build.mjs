// Compiles src, tests and bench into dist/ when something is newer than the last build (or with --force).
// Runs as npm's `prepare`, and again from `npm start` and `npm test`, because install scripts may be refused.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const stamp = join(root, 'dist', '.built');

function newest(path) {
  if (!existsSync(path)) return 0;
  const stat = statSync(path);
  if (!stat.isDirectory()) return stat.mtimeMs;
  let latest = stat.mtimeMs;
  for (const name of readdirSync(path)) latest = Math.max(latest, newest(join(path, name)));
  return latest;
}

/** Returns the exit status of the compiler: 0 where nothing had to be done. */
export function build(mode = 'if stale') {
  const sources = ['src', 'tests', 'bench', 'tsconfig.json', 'package.json'].map((name) => join(root, name));
  const built = existsSync(stamp) ? statSync(stamp).mtimeMs : 0;
  if (mode === 'if stale' && built > 0 && sources.every((path) => newest(path) <= built)) return 0;
  if (!existsSync(join(root, 'src'))) return 0; // an installed package ships dist and no sources
  const require = createRequire(import.meta.url);
  const compiler = join(dirname(require.resolve('typescript/package.json')), 'bin', 'tsc');
  rmSync(join(root, 'dist'), { recursive: true, force: true });
  const result = spawnSync(process.execPath, [compiler, '-p', join(root, 'tsconfig.json')], { stdio: 'inherit' });
  if (result.status === 0) writeFileSync(stamp, '');
  return result.status ?? 1;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  process.exitCode = build(process.argv.includes('--force') ? 'always' : 'if stale');
}
