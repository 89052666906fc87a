/**
 * Folders of this user under the system's temporary folder: finished trees that later runs reuse (binaries made
 * reachable, initialised data folders), and the data folders of running clusters.
 *
 *     <tmp>/pprox-<uid>/cache/<name>/complete.json   how many files and bytes the tree has; written last
 *     <tmp>/pprox-<uid>/cache/<name>/tree/           what the caller built
 *     <tmp>/pprox-<uid>/clusters/<random>/           temporary data folders
 */
import { randomBytes } from 'node:crypto';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EmbeddedFailure, systemCode } from './failure.ts';
import { identify } from './process-identity.ts';

/** `<tmp>/pprox-<uid>/<part>`, ours alone to write. Throws when somebody else made it first. */
export function userFolder(part: 'cache' | 'clusters'): string {
  const top = join(tmpdir(), `pprox-${process.getuid?.() ?? 'user'}`);
  for (const directory of [top, join(top, part)]) {
    // As root the servers' account has to pass through: 711 lets it in without letting it look around.
    mkdirSync(directory, { recursive: true, mode: process.getuid?.() === 0 ? 0o711 : 0o700 });
    const stat = lstatSync(directory);
    const ours = process.getuid === undefined || (stat.uid === process.getuid() && (stat.mode & 0o022) === 0);
    if (!stat.isDirectory() || !ours) {
      throw new EmbeddedFailure(
        `${directory} is not a folder that only you can write to, so nothing in it can be trusted. Remove it, or set TMPDIR.`,
      );
    }
  }
  return join(top, part);
}

interface Extent {
  readonly files: number;
  readonly bytes: number;
}

/**
 * The tree of that name, built once per user. A tree that lacks a file (temporary folders get swept) is built anew.
 * Safe when several processes ask at once: each builds its own, one is kept.
 */
export async function cachedTree(name: string, build: (directory: string) => Promise<void>): Promise<string> {
  const cache = userFolder('cache');
  const finished = join(cache, name);
  if (isComplete(finished)) return join(finished, 'tree');
  removeAbandoned(cache);
  const workplace = join(cache, `.building-${process.pid}-${randomBytes(6).toString('hex')}`);
  const tree = join(workplace, 'tree');
  mkdirSync(tree, { recursive: true });
  try {
    await build(tree);
    writeFileSync(join(workplace, 'complete.json'), JSON.stringify(measure(tree)));
    for (let attempt = 1; !moveInto(workplace, finished); attempt += 1) {
      if (isComplete(finished)) break; // another process was first
      if (attempt === 5) throw new EmbeddedFailure(`${finished} can neither be used nor replaced. Remove it.`);
      const broken = join(cache, `.building-${process.pid}-${randomBytes(6).toString('hex')}`);
      renameSync(finished, broken);
      rmSync(broken, { recursive: true, force: true, maxRetries: 3 });
    }
  } finally {
    rmSync(workplace, { recursive: true, force: true, maxRetries: 3 });
  }
  return join(finished, 'tree');
}

/** False when something is in the way. */
function moveInto(workplace: string, finished: string): boolean {
  try {
    renameSync(workplace, finished);
    return true;
  } catch (error) {
    if (['EEXIST', 'ENOTEMPTY', 'EPERM'].includes(systemCode(error) ?? '') && existsSync(finished)) return false;
    throw error;
  }
}

function isComplete(finished: string): boolean {
  let promised: unknown;
  try {
    promised = JSON.parse(readFileSync(join(finished, 'complete.json'), 'utf8'));
  } catch {
    return false; // absent, or swept away
  }
  const found = measure(join(finished, 'tree'));
  return JSON.stringify(promised) === JSON.stringify(found);
}

function measure(directory: string): Extent {
  let files = 0;
  let bytes = 0;
  let entries: string[];
  try {
    entries = readdirSync(directory);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return { files, bytes };
    throw error;
  }
  for (const entry of entries) {
    const path = join(directory, entry);
    const stat = lstatSync(path);
    files += 1;
    if (stat.isFile()) bytes += stat.size;
    if (!stat.isDirectory()) continue;
    const below = measure(path);
    files += below.files;
    bytes += below.bytes;
  }
  return { files, bytes };
}

/** What processes that died in the middle of building left behind. */
function removeAbandoned(cache: string): void {
  for (const entry of readdirSync(cache)) {
    const pid = /^\.building-(\d+)-/.exec(entry)?.[1];
    if (pid !== undefined && Number(pid) !== process.pid && identify(Number(pid)) === undefined) {
      rmSync(join(cache, entry), { recursive: true, force: true, maxRetries: 3 });
    }
  }
}
