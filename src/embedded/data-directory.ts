/** Data directories: made by initdb, copied from a template, turned into a standby. All of it under the servers' account. */
import { createHash } from 'node:crypto';
import { chmodSync, chownSync, mkdirSync, readdirSync, readFileSync, readlinkSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Account, type Outcome, runAs } from './account.ts';
import type { Binaries } from './binaries.ts';
import { cachedTree } from './cache.ts';
import type { Durability } from './configuration.ts';
import { EmbeddedFailure } from './failure.ts';

/** The physical replication slot of w1 that keeps WAL until the reader has it. */
export const readerSlot = 'reader';

/**
 * Makes `directory` a new database system with a system identifier of its own, with a slot for a standby. `statements` are
 * run in template1 and in postgres.
 */
export async function initialise(
  binaries: Binaries,
  account: Account,
  directory: string,
  durability: Durability,
  statements: readonly string[],
): Promise<void> {
  makeOwned(account, directory);
  const initdb = (locale: string): Promise<Outcome> => {
    const args = ['-D', directory, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', `--locale=${locale}`];
    if (durability === 'none') args.push('--no-sync');
    return runAs(account, binaries.initdb, args, { cwd: directory, timeoutMs: 120_000 });
  };
  let outcome = await initdb('C.UTF-8');
  // Not every system has that locale; C orders text in the same way and differs in upper, lower and character classes.
  if (outcome.status !== 0 && /invalid locale/.test(outcome.output)) outcome = await initdb('C');
  if (outcome.status !== 0) throw new EmbeddedFailure(`initdb failed for ${directory}: ${outcome.output}`);
  const makeSlot = `SELECT pg_create_physical_replication_slot('${readerSlot}', true)`;
  const slot = await runAlone(binaries, account, directory, 'postgres', [makeSlot]);
  if (slot.status !== 0 || !slot.output.includes(`(${readerSlot},`)) {
    throw new EmbeddedFailure(`The replication slot could not be made in ${directory}: ${slot.output}`);
  }
  if (statements.length === 0) return;
  for (const database of ['template1', 'postgres']) {
    const { status, output } = await runAlone(binaries, account, directory, database, statements);
    if (status !== 0 || /^.*\b(?:ERROR|FATAL|PANIC): /m.test(output))
      throw new EmbeddedFailure(`The first statements failed in ${database} of ${directory}: ${output}`);
  }
}

/** In single-user mode; with -j a statement ends with a semicolon and an empty line (manual, "postgres"). */
function runAlone(
  binaries: Binaries,
  account: Account,
  directory: string,
  database: string,
  statements: readonly string[],
): Promise<Outcome> {
  return runAs(account, binaries.postgres, ['--single', '-F', '-j', '-D', directory, database], {
    input: statements.map((statement) => `${statement};\n\n`).join(''),
    cwd: directory,
    timeoutMs: 60_000,
  });
}

/** Copies a data directory whose server is stopped; with `standby` the copy follows, and keeps no slots of its origin. */
export async function copyDataDirectory(
  account: Account,
  source: string,
  target: string,
  role: 'primary' | 'standby',
): Promise<void> {
  if (process.platform === 'win32')
    throw new EmbeddedFailure('Copies of data directories are not supported on Windows yet.');
  makeOwned(account, target);
  const standby = role === 'standby' ? ' && rm -rf "$2"/pg_replslot/* && : > "$2/standby.signal"' : '';
  const outcome = await runAs(account, '/bin/sh', ['-c', `cp -Rp "$1/." "$2/"${standby}`, 'sh', source, target], {
    timeoutMs: 120_000,
  });
  if (outcome.status !== 0) throw new EmbeddedFailure(`${source} could not be copied to ${target}: ${outcome.output}`);
}

/**
 * An initialised data directory that is kept for later runs: quick, and with the same system identifier every time, which is
 * why `writer` (0, 1, …) names one of several. One for each list of `statements`, which have run in it as in `initialise`.
 */
export async function template(
  binaries: Binaries,
  account: Account,
  writer: number,
  statements: readonly string[],
): Promise<string> {
  const uid = account.kind === 'other' ? account.uid : (process.getuid?.() ?? 0);
  const made = createHash('sha256').update(statements.join('\0')).digest('hex').slice(0, 12);
  const variant = statements.length === 0 ? '' : `-${made}`;
  const name = `data-${binaries.version}-user-${uid}-w${writer + 1}${variant}`;
  const tree = await cachedTree(name, (directory) => {
    openFolder(account, directory);
    openFolder(account, dirname(directory));
    return initialise(binaries, account, join(directory, 'data'), 'none', statements);
  });
  return join(tree, 'data');
}

/**
 * Lock files of a server that was killed name a pid, and PostgreSQL refuses to start while any process of its account has
 * that number: in a container that was replaced, that is quickly another server of ours. They are removed where the
 * process works in another folder (a postmaster works in its data directory). Linux only.
 */
export async function removeStaleLocks(account: Account, directory: string): Promise<void> {
  if (process.platform !== 'linux') return;
  const stale = readdirSync(directory)
    .filter((entry) => /^(postmaster\.pid|\.s\.PGSQL\.\d+\.lock)$/.test(entry))
    .map((entry) => join(directory, entry))
    .filter((file) => belongsElsewhere(file, directory));
  if (stale.length > 0) await runAs(account, '/bin/rm', ['-f', ...stale], { timeoutMs: 10_000 });
}

function belongsElsewhere(lockFile: string, directory: string): boolean {
  try {
    const pid = Number(readFileSync(lockFile, 'latin1').split('\n')[0]);
    return pid > 0 && readlinkSync(`/proc/${pid}/cwd`) !== realpathSync(directory);
  } catch {
    return false; // no such process, or one of another account: PostgreSQL sees that by itself
  }
}

/** A folder of ours that the servers' account passes through. */
export function openFolder(account: Account, directory: string): void {
  mkdirSync(directory, { recursive: true });
  chmodSync(directory, account.kind === 'other' ? 0o711 : 0o700);
}

/** An empty folder, mode 700, of the servers' account. */
function makeOwned(account: Account, directory: string): void {
  mkdirSync(directory, { mode: 0o700 });
  if (account.kind === 'other') chownSync(directory, account.uid, account.gid);
}
