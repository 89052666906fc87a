// Compiles src, tests and bench into dist/ when something is newer than the last build (or with --force; with
// --despite-errors it replaces dist/ even where types do not fit, for trying half-finished work).
// Runs as npm's `prepare`, and again from `npm start` and `npm test`, because install scripts may be refused.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const dist = join(root, 'dist');
const stamp = join(dist, '.built');

function newest(path) {
  if (!existsSync(path)) return 0;
  const stat = statSync(path);
  if (!stat.isDirectory()) return stat.mtimeMs;
  let latest = stat.mtimeMs;
  for (const name of readdirSync(path)) latest = Math.max(latest, newest(join(path, name)));
  return latest;
}

/**
 * Makes dist/ follow the sources. Returns an exit status: 0 also where nothing had to be done.
 * The compiler writes next to dist/, which is replaced when everything compiled: what runs from it keeps running.
 * @param {'if stale' | 'always' | 'despite errors' | 'if the compiler is there'} mode
 */
export function build(mode = 'if stale') {
  if (!existsSync(join(root, 'src'))) return 0; // an installed package ships dist and no sources
  const sources = ['src', 'tests', 'bench', 'tsconfig.json', 'package.json'].map((name) => join(root, name));
  const built = existsSync(stamp) ? statSync(stamp).mtimeMs : 0;
  if (mode !== 'always' && mode !== 'despite errors' && built > 0 && sources.every((path) => newest(path) <= built))
    return 0;
  const compiler = findCompiler();
  if (compiler === undefined) {
    if (mode === 'if the compiler is there') return 0; // npm ci --omit=dev
    console.error('pprox: dist/ has to be built, and the TypeScript compiler is not installed: run "npm ci".');
    return 1;
  }
  const started = new Date();
  const fresh = join(root, `dist.new-${process.pid}`);
  try {
    mkdirSync(fresh);
    const result = spawnSync(process.execPath, [compiler, '-p', join(root, 'tsconfig.json'), '--outDir', fresh], {
      stdio: 'inherit',
    });
    if (result.status !== 0 && mode !== 'despite errors') return result.status ?? 1;
    if (result.status === 0) {
      writeFileSync(join(fresh, '.built'), '');
      utimesSync(join(fresh, '.built'), started, started); // what was edited while the compiler ran counts as newer
    }
    replaceDist(fresh);
    return result.status ?? 1;
  } catch (error) {
    if (!['EACCES', 'EPERM', 'EROFS'].includes(error.code)) throw error;
    console.error(`pprox: dist/ is older than the sources, and you may not write to ${root}.`);
    console.error('pprox: let its owner run "npm run build", or use a copy of your own.');
    return 1;
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
}

function findCompiler() {
  try {
    const manifest = createRequire(import.meta.url).resolve('typescript/package.json');
    return join(dirname(manifest), 'bin', 'tsc');
  } catch {
    return undefined;
  }
}

/** Another build may do the same at this moment: the last one to finish stays. */
function replaceDist(fresh) {
  const old = join(root, `dist.old-${process.pid}`);
  for (let attempt = 1; ; attempt += 1) {
    if (existsSync(dist)) rename(dist, old, ['ENOENT']);
    rmSync(old, { recursive: true, force: true });
    if (rename(fresh, dist, attempt < 5 ? ['ENOTEMPTY', 'EEXIST'] : [])) return;
  }
}

function rename(from, to, expected) {
  try {
    renameSync(from, to);
    return true;
  } catch (error) {
    if (expected.includes(error.code)) return false;
    throw error;
  }
}

function requestedMode(args) {
  if (args.includes('--despite-errors')) return 'despite errors';
  if (args.includes('--force')) return 'always';
  return process.env.npm_lifecycle_event === 'prepare' ? 'if the compiler is there' : 'if stale';
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.exitCode = build(requestedMode(process.argv));
