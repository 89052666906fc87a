import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { posix } from 'node:path';
import { filesBelow, readText } from '../support/repository.ts';

/** Imports go to a lower rank, or stay in their folder. Folders of one rank do not know each other. */
const ranks: Readonly<Record<string, number>> = {
  lib: 0,
  config: 1,
  wire: 1,
  sql: 1,
  auth: 2,
  net: 2,
  backend: 3,
  cluster: 4,
  fanout: 5,
  deadlock: 5,
  commit: 6,
  session: 7,
  ops: 8,
  embedded: 8,
  'proxy.ts': 9,
  cli: 10,
  'main.ts': 11,
};

/** Folders that may know less than their rank allows. */
const only: Readonly<Record<string, readonly string[]>> = { embedded: ['lib', 'config'] };

interface Import {
  readonly from: string;
  /** Relative to the root, or the name of a package. */
  readonly to: string;
  readonly form: 'import' | 'export' | 'dynamic';
}

/** The statements begin a line, as the formatter writes them. */
const statements = /^(import|export)\s(?:[^;'"`]*?\sfrom\s+)?'([^']+)'|\bimport\('([^']+)'\)/gm;

function importsOf(path: string, text: string): readonly Import[] {
  return [...text.matchAll(statements)].map(([, form, fixed, dynamic]) => {
    const target = fixed ?? dynamic ?? '';
    return {
      from: path,
      to: target.startsWith('.') ? posix.join(posix.dirname(path), target) : target,
      form: form === 'import' || form === 'export' ? form : 'dynamic',
    };
  });
}

/** `src/wire/tags.ts` is in `wire`, `src/main.ts` in `main.ts`. */
function layerOf(path: string): string {
  return path.split('/')[1] ?? '';
}

function describeImport({ from, to }: Import): string {
  return `${from} imports ${to}`;
}

function layerBreaches(imports: readonly Import[]): readonly string[] {
  return imports
    .filter(({ to }) => to.startsWith('src/'))
    .filter(({ from, to }) => {
      const [importer, imported] = [layerOf(from), layerOf(to)];
      if (importer === imported) return false;
      const allowed = only[importer];
      if (allowed !== undefined) return !allowed.includes(imported);
      return !((ranks[imported] ?? Number.POSITIVE_INFINITY) < (ranks[importer] ?? Number.NEGATIVE_INFINITY));
    })
    .map(describeImport);
}

/** Each cycle once, as the path around it. */
function cycles(imports: readonly Import[]): readonly string[] {
  const targets = new Map<string, string[]>();
  for (const { from, to } of imports) targets.set(from, [...(targets.get(from) ?? []), to]);
  const state = new Map<string, 'on the path' | 'done'>();
  const found: string[] = [];
  const visit = (file: string, path: readonly string[]): void => {
    if (state.get(file) === 'on the path') found.push([...path.slice(path.indexOf(file)), file].join(' -> '));
    if (state.has(file)) return;
    state.set(file, 'on the path');
    for (const to of targets.get(file) ?? []) visit(to, [...path, file]);
    state.set(file, 'done');
  };
  for (const file of targets.keys()) visit(file, []);
  return found;
}

const sources = filesBelow('src', '.ts');
const imports = sources.flatMap((path) => importsOf(path, readText(path)));

test('every folder of src has a rank', () => {
  assert.deepEqual(
    [...new Set(sources.map(layerOf))].filter((layer) => ranks[layer] === undefined),
    [],
  );
});

test('imports go down only', () => {
  assert.deepEqual(layerBreaches(imports), []);
});

test('no file imports itself over others', () => {
  assert.deepEqual(cycles(imports), []);
});

test('no file passes on what others export', () => {
  assert.deepEqual(imports.filter(({ form }) => form === 'export').map(describeImport), []);
  assert.deepEqual(
    sources.filter((path) => posix.basename(path) === 'index.ts'),
    [],
  );
});

test('src imports packages that an installation has', () => {
  const manifest: { readonly dependencies: Readonly<Record<string, string>> } = JSON.parse(readText('package.json'));
  const packages = imports.filter(({ to }) => !to.startsWith('src/') && !to.startsWith('node:'));
  assert.deepEqual(packages.filter(({ to }) => manifest.dependencies[to] === undefined).map(describeImport), []);
});

test('file names are in kebab case', () => {
  const names = [...sources, ...filesBelow('tests', '.ts')];
  assert.deepEqual(
    names.filter((path) => !/^[a-z0-9]+(-[a-z0-9]+)*(\.test)?\.ts$/.test(posix.basename(path))),
    [],
  );
});

describe('the checks above', () => {
  const from = (path: string, text: string): readonly Import[] => importsOf(path, text);

  test('see imports of every form', () => {
    const text = [
      "import { a } from './a.ts';",
      "import {\n  b,\n} from '../wire/b.ts';",
      "import type { C } from '../lib/c.ts';",
      "import './d.ts';",
      "export * from './e.ts';",
      "  const f = await import('./f.ts');",
      "const text = 'from ./g.ts';",
    ].join('\n');
    assert.deepEqual(
      from('src/sql/x.ts', text).map(({ to, form }) => `${form} ${to}`),
      [
        'import src/sql/a.ts',
        'import src/wire/b.ts',
        'import src/lib/c.ts',
        'import src/sql/d.ts',
        'export src/sql/e.ts',
        'dynamic src/sql/f.ts',
      ],
    );
  });

  test('refuse what goes up, sideways, or from embedded to more than lib and config', () => {
    const breaches = (path: string, target: string): number => layerBreaches(from(path, `import '${target}';`)).length;
    assert.equal(breaches('src/sql/x.ts', '../lib/y.ts'), 0);
    assert.equal(breaches('src/sql/x.ts', './y.ts'), 0);
    assert.equal(breaches('src/sql/x.ts', '../wire/y.ts'), 1);
    assert.equal(breaches('src/lib/x.ts', '../sql/y.ts'), 1);
    assert.equal(breaches('src/embedded/x.ts', '../config/y.ts'), 0);
    assert.equal(breaches('src/embedded/x.ts', '../wire/y.ts'), 1);
    assert.equal(breaches('src/session/x.ts', '../unknown/y.ts'), 1);
  });

  test('find a cycle of any length', () => {
    const chain = [
      ...from('src/lib/a.ts', "import './b.ts';"),
      ...from('src/lib/b.ts', "import './c.ts';"),
      ...from('src/lib/c.ts', "import './a.ts';"),
    ];
    assert.deepEqual(cycles(chain), ['src/lib/a.ts -> src/lib/b.ts -> src/lib/c.ts -> src/lib/a.ts']);
    assert.deepEqual(cycles(chain.slice(0, 2)), []);
  });
});
