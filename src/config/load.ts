/** The configuration from the environment: all of it, or all that is wrong with it. */
import { statSync } from 'node:fs';
import { basename } from 'node:path';
import { defaultPort, formatAddress, isLocal, parseAddress } from './address.ts';
import type { Config, Dsn, ListenAddress, Settings } from './config.ts';
import { type DsnResult, type Environment, parseDsn } from './dsn.ts';
import { splitDsns } from './dsn-list.ts';
import { findConflicts, type NamedDsn } from './dsn-rules.ts';
import { defaultPassfile, findPassword, type Passfile, readPassfile } from './passfile.ts';
import { Findings, type Problem } from './problem.ts';
import { readFields } from './schema.ts';
import { variables } from './settings.ts';
import { type ReadFile, readTextFile, readTlsFiles } from './tls-files.ts';

/** No DSN is set: pprox brings its own servers. */
export interface DemoConfig {
  readonly listen: ListenAddress;
  readonly settings: Settings;
  readonly logLevel: Config['logLevel'];
  /** Where the servers live; undefined: a temporary folder. */
  readonly dataDir: string | undefined;
  readonly warnings: readonly string[];
}

export type LoadResult =
  | { readonly kind: 'config'; readonly config: Config }
  | { readonly kind: 'demo'; readonly demo: DemoConfig }
  | { readonly kind: 'invalid'; readonly problems: readonly Problem[] };

/** What reading the environment asks the file system. */
export interface Files {
  readonly isFolder: (path: string) => boolean;
  readonly readPassfile: (path: string) => Passfile;
  readonly readTextFile: ReadFile;
}

const realFiles: Files = {
  isFolder: (path) => {
    try {
      return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
    } catch {
      // A path that we may not look at is no folder that we could make a socket in: listening on it says why.
      return false;
    }
  },
  readPassfile,
  readTextFile,
};

/**
 * Reads every variable of `config/settings`, and those of libpq that say how to log in. A blank variable counts as not set.
 * `env` is not changed. All problems are found at once, and none holds the value of a variable.
 */
export function loadConfig(env: Environment, options: { readonly files?: Files } = {}): LoadResult {
  const files = options.files ?? realFiles;
  const given = dropBlank(env);
  const findings = new Findings();
  findings.warn(findUnknownVariables(given));
  const mode = given['PG_WRITERS_CSV'] === undefined && given['PG_READER_DSN'] === undefined ? 'demo' : 'proxy';
  const listen = readListen(given, mode, files, findings);
  const [lead, ...followers] = readWriters(given, files, findings);
  const reader = readReader(given, files, findings);
  findings.add(findConflicts(lead === undefined ? [] : [lead, ...followers], reader));
  const result = readFields(given);
  if (result.kind === 'invalid') findings.add(result.problems);
  const { problems, warnings } = findings;
  if (problems.length > 0 || listen === undefined || result.kind === 'invalid') return { kind: 'invalid', problems };
  const { logLevel, dataDir, ...settings } = result.fields;
  if (lead === undefined) return { kind: 'demo', demo: { listen, settings, logLevel, dataDir, warnings } };
  const writers: Config['writers'] = [lead.dsn, ...followers.map(({ dsn }) => dsn)];
  return { kind: 'config', config: { listen, writers, reader: reader?.dsn, settings, logLevel, warnings } };
}

function dropBlank(env: Environment): Environment {
  return Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined && value.trim() !== ''));
}

/** A variable with our prefix that nobody reads is a slip of the pen, or one of another version: said, not refused. */
function findUnknownVariables(given: Environment): readonly string[] {
  const known = new Set(variables.map(({ variable }) => variable));
  return Object.keys(given)
    .filter((name) => name.startsWith('PPROX_') && !name.startsWith('PPROX_TEST_') && !known.has(name))
    .map((name) => `${name} is not a variable of pprox, and has no effect`);
}

function readListen(
  given: Environment,
  mode: 'demo' | 'proxy',
  files: Files,
  findings: Findings,
): ListenAddress | undefined {
  const variable = 'PROXY_ADDR';
  const text = given[variable]?.trim() ?? (mode === 'demo' ? `127.0.0.1:${defaultPort}` : `:${defaultPort}`);
  const result = parseAddress(text, files.isFolder);
  if (result.kind === 'invalid') {
    const { message, hint } = result;
    findings.add([{ variable, message, ...(hint === undefined ? {} : { hint }) }]);
    return undefined;
  }
  const { address } = result;
  if (!isLocal(address)) {
    const advice = 'keep that address behind a firewall, or listen on 127.0.0.1';
    const fact = `listening on ${formatAddress(address)}, where every client is let in without a password (trust)`;
    findings.warn([`${variable}: ${fact}; ${advice}`]);
  }
  if (address.kind === 'unix' && !/^\.s\.PGSQL\.\d+$/.test(basename(address.path))) {
    findings.warn([`${variable}: programs with libpq, such as psql, look for a socket named .s.PGSQL.${defaultPort}`]);
  }
  return address;
}

function readWriters(given: Environment, files: Files, findings: Findings): readonly NamedDsn[] {
  const variable = 'PG_WRITERS_CSV';
  const text = given[variable];
  if (text === undefined) {
    if (given['PG_READER_DSN'] === undefined) return [];
    const message = 'is not set, but PG_READER_DSN is: pprox needs at least one writer';
    const hint = 'Name the servers that writes go to, the lead first. With neither variable set the demo starts.';
    findings.add([{ variable, message, hint }]);
    return [];
  }
  const dsns = splitDsns(text);
  if (dsns.length === 1) findings.warn([`${variable} names one writer: there is no second copy of what is written`]);
  return dsns.flatMap((dsn, index) => readDsn(given, { variable, label: `writer ${index + 1}` }, dsn, files, findings));
}

function readReader(given: Environment, files: Files, findings: Findings): NamedDsn | undefined {
  const variable = 'PG_READER_DSN';
  const text = given[variable];
  if (text === undefined) return undefined;
  if (splitDsns(text).length > 1) {
    const hint = 'There can be one reader. A comma of a password is written %2C in a URI, or in quotes.';
    findings.add([{ variable, message: 'names several servers', hint }]);
    return undefined;
  }
  return readDsn(given, { variable, label: 'reader' }, text, files, findings)[0];
}

type Place = Pick<NamedDsn, 'variable' | 'label'>;

/** The DSN; or nothing, and its mistakes in `findings`. */
function readDsn(
  given: Environment,
  place: Place,
  text: string,
  files: Files,
  findings: Findings,
): readonly NamedDsn[] {
  const result = parseDsn(text, given);
  if (result.kind === 'invalid') {
    findings.add(
      result.mistakes.map(({ variable, message, ...hint }) =>
        variable === undefined
          ? { variable: place.variable, message: `${place.label}: ${message}`, ...hint }
          : { variable, message, ...hint },
      ),
    );
    return [];
  }
  findings.warn(result.warnings.map((warning) => `${place.variable}, ${place.label}: ${warning}`));
  const password = result.dsn.password ?? readPassword(given, place, result, files, findings);
  const { dsn, tlsFiles } = result;
  const encryption = readTlsFiles(dsn.tls, dsn.host, tlsFiles, given, files.readTextFile);
  if (encryption.kind === 'invalid') {
    findings.add(
      encryption.mistakes.map(({ message, ...hint }) => ({
        variable: place.variable,
        message: `${place.label}: ${message}`,
        ...hint,
      })),
    );
    return [];
  }
  return [{ ...place, dsn: { ...dsn, password, tls: encryption.tls } }];
}

function readPassword(
  given: Environment,
  place: Place,
  result: Extract<DsnResult, { kind: 'dsn' }>,
  files: Files,
  findings: Findings,
): Dsn['password'] {
  const path = result.passfile ?? defaultPassfile(given);
  if (path === undefined) return undefined;
  const file = files.readPassfile(path);
  if (file.kind === 'text') return findPassword(file.text, { ...result.dsn, host: result.passfileHost });
  const where = `${place.variable}, ${place.label}: its password file`;
  if (file.kind === 'ignored') findings.warn([`${where} is not used: it ${file.reason}`]);
  else if (result.passfile !== undefined) findings.warn([`${where} does not exist`]);
  return undefined;
}
