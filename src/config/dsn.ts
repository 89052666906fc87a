/** One DSN: the server it names, or everything that is wrong with it. */
import { unreachable } from '../lib/assert.ts';
import { formatHostPort } from './address.ts';
import type { Dsn } from './config.ts';
import { dsnParameters, otherNames, type ParameterRow } from './dsn-parameters.ts';
import { encodeHint, type Given, parseSyntax, type Syntax } from './dsn-syntax.ts';
import { findTlsFiles, type TlsFiles } from './dsn-tls.ts';
import { readDsn } from './dsn-values.ts';
import type { Mistake } from './problem.ts';

/** Variables by name; a blank one counts as not set. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** `variable` where the mistake is in a variable of libpq (`PGSSLMODE`) and not in the DSN. */
export type DsnMistake = Mistake & { readonly variable?: string };

export type DsnResult =
  | {
      readonly kind: 'dsn';
      readonly dsn: Dsn;
      /** libpq's `passfile`, from the DSN or PGPASSFILE; undefined: the one of the home folder. */
      readonly passfile: string | undefined;
      /** What a password file calls the server: its name, where `hostaddr` gives the address. */
      readonly passfileHost: string;
      /** Not read yet: `dsn.tls` has none of their text. */
      readonly tlsFiles: TlsFiles;
      readonly warnings: readonly string[];
    }
  | { readonly kind: 'invalid'; readonly mistakes: readonly DsnMistake[] };

/** `host:port/database`, or `host:port` where the client chooses the database: for messages and logs. */
export function describe(dsn: Pick<Dsn, 'host' | 'port' | 'database'>): string {
  const server = formatHostPort(dsn.host, dsn.port);
  return dsn.database === undefined ? server : `${server}/${dsn.database}`;
}

/**
 * Reads a URI or a key=value form. `environment` gives the variables of libpq that say how to log in and whether to encrypt
 * (`PGPASSWORD`, `PGSSLMODE`, …), for parameters that the DSN does not have; those that say where to connect are not read.
 * Every mistake is reported, unless the form itself is broken. No message holds a value, nor a name that may be a part of a
 * password.
 */
export function parseDsn(text: string, environment: Environment = {}): DsnResult {
  const syntax = parseSyntax(text.trim());
  if (syntax.kind === 'malformed') return { kind: 'invalid', mistakes: [mistake(syntax.message, syntax.hint)] };
  const given = new Map([...syntax.authority, ...syntax.parameters].map(({ name, value }) => [name, value]));
  const origin = addEnvironment(given, environment);
  const rules = applyRules(given, origin);
  const values = readDsn(given);
  const mistakes = [...findUnknown(syntax), ...rules.mistakes, ...values.mistakes];
  if (mistakes.length > 0) return { kind: 'invalid', mistakes };
  const passfileHost = given.get('host') || values.dsn.host;
  return {
    kind: 'dsn',
    dsn: values.dsn,
    passfile: given.get('passfile') || undefined,
    passfileHost,
    tlsFiles: findTlsFiles(given),
    warnings: rules.warnings,
  };
}

function mistake(message: string, hint?: string): DsnMistake {
  return hint === undefined ? { message } : { message, hint };
}

function rowOf(name: string): ParameterRow | undefined {
  return Object.hasOwn(dsnParameters, name) ? dsnParameters[name] : undefined;
}

/** Returns which variable each added parameter came from. */
function addEnvironment(given: Map<string, string>, environment: Environment): ReadonlyMap<string, string> {
  const origin = new Map<string, string>();
  for (const [name, { environment: variable }] of Object.entries(dsnParameters)) {
    const value = variable === undefined ? undefined : environment[variable];
    if (variable === undefined || value === undefined || value === '' || given.get(name)) continue;
    given.set(name, value);
    origin.set(name, variable);
  }
  return origin;
}

/**
 * libpq shows the name of an unknown parameter. What follows a secret, or a name that may have been meant as one, may be the
 * rest of a password, and what key=value begins with may be a password as a whole: such a name is not shown.
 */
function findUnknown(syntax: Extract<Syntax, { kind: 'parameters' }>): readonly DsnMistake[] {
  const mistakes: DsnMistake[] = [];
  const what = syntax.form === 'uri' ? 'invalid URI query parameter' : 'invalid connection option';
  const hiddenHint = syntax.form === 'uri' ? encodeHint : 'Put a value with spaces in single quotes.';
  let names: 'shown' | 'shown if likely' | 'hidden' = syntax.unknownNames;
  if (syntax.form === 'key=value' && names === 'shown') names = 'shown if likely';
  for (const { name } of syntax.parameters) {
    const row = rowOf(name);
    const meant = likelyName(name);
    if (row !== undefined) {
      if (row.secret === true) names = 'hidden';
      else if (names === 'shown if likely') names = 'shown';
      continue;
    }
    const safe = names === 'shown' ? /^\w{1,63}$/.test(name) : names === 'shown if likely' && meant !== undefined;
    if (safe)
      mistakes.push(mistake(`${what}: "${name}"`, meant === undefined ? undefined : `libpq calls it ${meant}.`));
    else mistakes.push(mistake(`${what}, not shown because it may be a part of a password`, hiddenHint));
    names = 'hidden';
  }
  return mistakes;
}

/** Undefined where no parameter comes to mind. */
function likelyName(name: string): string | undefined {
  const lower = name.toLowerCase();
  return rowOf(lower) === undefined ? otherNames.get(lower) : lower;
}

function applyRules(
  given: Given,
  origin: ReadonlyMap<string, string>,
): { readonly mistakes: readonly DsnMistake[]; readonly warnings: readonly string[] } {
  const mistakes: DsnMistake[] = [];
  const ineffective = new Map<string, string[]>();
  for (const [name, value] of given) {
    const rule = rowOf(name)?.rule;
    if (rule === undefined || value === '') continue;
    const verdict = judge(name, value, rule);
    if (verdict === 'without effect' && rule.kind === 'no effect' && !origin.has(name)) {
      ineffective.set(rule.because, [...(ineffective.get(rule.because) ?? []), name]);
    }
    if (typeof verdict === 'string') continue;
    const variable = origin.get(name);
    mistakes.push(variable === undefined ? verdict : { ...verdict, variable });
  }
  const warnings = [...ineffective].map(([because, names]) => `without effect: ${names.join(', ')} (${because})`);
  return { mistakes, warnings };
}

function judge(name: string, value: string, rule: ParameterRow['rule']): 'fine' | 'without effect' | Mistake {
  switch (rule.kind) {
    case 'used':
      return 'fine';
    case 'refused':
      return mistake(`${name} is refused: ${rule.because}`);
    case 'no effect':
      // The value is one of the table's words, so it may be shown.
      if (rule.refused?.includes(value) === true) return mistake(`${name}=${value} is refused: ${rule.because}`);
      return 'without effect';
    case 'word':
      if (rule.accepted.includes(value)) return 'fine';
      if (rule.refused.includes(value)) {
        return mistake(`${name}=${value} is refused: ${rule.because}`, `Accepted: ${rule.accepted.join(', ')}.`);
      }
      return mistake(`invalid ${name} value`, `Accepted: ${rule.accepted.join(', ')}.`);
    default:
      return unreachable(rule);
  }
}
