import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { filesBelow, readText, root } from '../support/repository.ts';

const manifest: { readonly scripts: Readonly<Record<string, string>> } = JSON.parse(readText('package.json'));
const pages = ['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md', 'CHANGELOG.md', ...pagesBelow('docs')].filter(
  (page) => existsSync(join(root, page)),
);

test('README.md has the two commands', () => {
  const readme = readText('README.md');
  for (const command of ['npm ci && npm start', 'npm ci && npm test']) assert.ok(readme.includes(command), command);
});

test('every "npm run" of the pages is a script of package.json', () => {
  const missing = pages.flatMap((page) =>
    [...readText(page).matchAll(/npm run ([a-z][a-z:-]*)/g)]
      .filter(([, script = '']) => manifest.scripts[script] === undefined)
      .map(([command]) => `${page}: ${command}`),
  );
  assert.deepEqual(missing, []);
});

test('every file that the pages link to exists', () => {
  const broken = pages.flatMap((page) =>
    [...readText(page).matchAll(/\]\((?!https?:|mailto:|#)([^)#\s]+)[^)]*\)/g)]
      .filter(([, target = '']) => !existsSync(join(root, dirname(page), decodeURIComponent(target))))
      .map(([, target]) => `${page}: ${target}`),
  );
  assert.deepEqual(broken, []);
});

test('every path of this repository that the pages name exists', () => {
  const named = /`((?:src|tests|scripts|bench|docs|bin)\/[A-Za-z0-9_./-]*[A-Za-z0-9])`/g;
  const missing = pages.flatMap((page) =>
    [...readText(page).matchAll(named)]
      .filter(([, path = '']) => !existsSync(join(root, path)))
      .map(([, path]) => `${page}: ${path}`),
  );
  assert.deepEqual(missing, []);
});

test('every script of package.json that runs a file runs one that exists', () => {
  const files = Object.values(manifest.scripts).flatMap((command) => command.match(/\b(?:scripts|bin)\/\S+/g) ?? []);
  assert.deepEqual(
    files.filter((file) => !existsSync(join(root, file))),
    [],
  );
});

function pagesBelow(folder: string): readonly string[] {
  return existsSync(join(root, folder)) ? filesBelow(folder, '.md') : [];
}
