// Type check, lint and format check; all of them, so that one run shows everything. `--fix` formats in place.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const require = createRequire(import.meta.url);

/** The program behind a package's command, started with this Node whatever PATH says. */
function program(name, command) {
  const manifest = require.resolve(`${name}/package.json`);
  const { bin } = require(manifest);
  return join(dirname(manifest), typeof bin === 'string' ? bin : bin[command]);
}

/** Returns 0 when every check passed. */
export function lint(mode = 'check') {
  const code = ['src', 'tests', 'bench', 'scripts', 'bin/pprox'].filter((path) => existsSync(join(root, path)));
  const linted = code.filter((path) => !path.startsWith('bin'));
  const checks = [
    { what: 'types', file: program('typescript', 'tsc'), args: ['-p', 'tsconfig.json', '--noEmit'] },
    { what: 'lint', file: program('oxlint', 'oxlint'), args: ['--type-aware', '--deny-warnings', ...linted] },
    {
      what: 'format',
      file: program('@biomejs/biome', 'biome'),
      args: ['format', ...(mode === 'fix' ? ['--write'] : []), '.'],
    },
  ];
  const failed = [];
  for (const { what, file, args } of checks) {
    const { status } = spawnSync(process.execPath, [file, ...args], { cwd: root, stdio: 'inherit' });
    if (status !== 0) failed.push(what);
  }
  if (failed.length > 0) console.error(`Failed: ${failed.join(', ')}. "npm run format" mends formatting.`);
  return failed.length === 0 ? 0 : 1;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  process.exitCode = lint(process.argv.includes('--fix') ? 'fix' : 'check');
}
