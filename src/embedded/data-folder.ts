/**
 * The data folder of a cluster, and what it consists of.
 *
 *     owner.<n>.json             who runs it, and the servers' processes (ownership.ts)
 *     cluster.json               the servers it holds, and whether their data directories are whole
 *     w1/, w2/, reader/          data directories, of the servers' account
 *     w1.conf, w1.hba.conf, w1.log, …
 */
import { existsSync, mkdtempSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { type Account, canEnter } from './account.ts';
import type { Major } from './binaries.ts';
import { userFolder } from './cache.ts';
import { openFolder } from './data-directory.ts';
import { EmbeddedFailure } from './failure.ts';
import { isOwnershipFile } from './ownership.ts';
import type { ServerName } from './server.ts';

export interface Member {
  readonly name: ServerName;
  readonly major: Major;
}

export interface Layout {
  /** `initialising`: a run was killed while it made the data directories; they are worth nothing. */
  readonly state: 'initialising' | 'complete';
  readonly members: readonly Member[];
  /** Taken again by the next start if they are free; in the order of the members. */
  readonly ports: readonly number[];
}

/** A new folder among this user's temporary clusters, removed with the cluster, or by a later start if we are killed. */
export function temporaryFolder(account: Account): string {
  const directory = mkdtempSync(join(userFolder('clusters'), 'c-'));
  openFolder(account, directory);
  return directory;
}

/** The folder that the operator named, made if absent. Throws when it holds other things, or is closed to the servers' account. */
export async function namedFolder(account: Account, name: string): Promise<string> {
  const directory = resolve(name);
  if (!existsSync(directory)) openFolder(account, directory);
  const foreign = readdirSync(directory).filter((entry) => !isOwnershipFile(entry) && entry !== 'lost+found');
  if (foreign.length > 0 && readLayout(directory) === undefined) {
    throw new EmbeddedFailure(
      `${directory} holds other files (${foreign.slice(0, 3).join(', ')}): name an empty folder.`,
    );
  }
  if (account.kind === 'other' && !(await canEnter(account, directory))) {
    throw new EmbeddedFailure(
      `PostgreSQL does not run as root but as user ${account.name} here, who cannot enter ${directory}: ` +
        'name a folder below one that everybody may enter, or run "chmod o+x" on the folders that lead to it.',
    );
  }
  return directory;
}

/** Undefined where no cluster was ever begun. */
export function readLayout(directory: string): Layout | undefined {
  const file = join(directory, 'cluster.json');
  if (!existsSync(file)) return undefined;
  const content: unknown = JSON.parse(readFileSync(file, 'utf8'));
  if (!isLayout(content)) throw new EmbeddedFailure(`${file} is not what this version writes: name an empty folder.`);
  return content;
}

/** Whole or not at all. */
export function writeLayout(directory: string, layout: Layout): void {
  const draft = join(directory, 'cluster.json.new');
  writeFileSync(draft, `${JSON.stringify(layout, undefined, 2)}\n`);
  renameSync(draft, join(directory, 'cluster.json'));
}

function isLayout(value: unknown): value is Layout {
  return (
    typeof value === 'object' &&
    value !== null &&
    'state' in value &&
    (value.state === 'initialising' || value.state === 'complete') &&
    'members' in value &&
    Array.isArray(value.members) &&
    'ports' in value &&
    Array.isArray(value.ports)
  );
}
