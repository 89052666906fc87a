/** Where the project's own files are, from compiled and from unbuilt tests. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

export const root = find(import.meta.dirname);

function find(directory: string): string {
  if (existsSync(join(directory, 'package.json'))) return directory;
  const parent = dirname(directory);
  if (parent === directory) throw new Error('no package.json above the tests');
  return find(parent);
}

/** Paths below `folder` that end with `suffix`, relative to the root, with slashes, sorted. */
export function filesBelow(folder: string, suffix: string): readonly string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith(suffix))
    .map((name) => join(folder, name).replaceAll('\\', '/'))
    .toSorted();
}

export function readText(path: string): string {
  return readFileSync(join(root, path), 'utf8');
}
