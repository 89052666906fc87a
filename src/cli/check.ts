/** `pprox check`: every server named, what it is, and what would keep the proxy from working. */
import type { Backend } from '../backend/backend.ts';
import { createLogin } from '../backend/login.ts';
import { ConnectError, connectBackend } from '../backend/connect.ts';
import { guard } from '../backend/guard.ts';
import { BackendLostError } from '../backend/receiver.ts';
import { type Identity, identify, relate } from '../cluster/identity.ts';
import type { Config, Dsn, Settings } from '../config/config.ts';
import { describe } from '../config/dsn.ts';
import { type Findings, lookAtFollower, lookAtLead, type Visit } from './readiness.ts';

interface Report {
  readonly role: 'lead' | 'follower' | 'reader';
  readonly dsn: Dsn;
  readonly found: Found | undefined;
  /** Why it could not be looked at. */
  readonly problem: string | undefined;
}

interface Found {
  readonly identity: Identity;
  /** Protocol version; `-`: not encrypted. */
  readonly tls: string;
  readonly version: string;
  readonly maxPrepared: number;
  /** Server clock minus ours, half the round trip taken off. */
  readonly clockMs: number;
  readonly encoding: string;
  readonly locale: string;
  readonly settings: Readonly<Record<string, string>>;
  /** What it lacks for two-phase commit, where that is asked for. */
  readonly readiness: Findings;
}

/** Settings that change what a statement stores or how it is read: they should be alike on all writers. */
const SETTINGS = [
  'TimeZone',
  'DateStyle',
  'IntervalStyle',
  'search_path',
  'standard_conforming_strings',
  'extra_float_digits',
  'bytea_output',
  'lc_monetary',
  'lc_numeric',
  'default_transaction_isolation',
  'default_transaction_read_only',
  'default_tablespace',
  'default_toast_compression',
];

/** A difference of clocks that an application may notice in timestamps. */
const CLOCK_MS = 1000;

const LOOK = `SELECT current_setting('server_version'), current_setting('max_prepared_transactions'),
  extract(epoch FROM clock_timestamp()) * 1000, pg_encoding_to_char(encoding), datcollate || ' / ' || datctype,
  (SELECT json_object_agg(name, setting) FROM pg_catalog.pg_settings WHERE name IN (${SETTINGS.map((name) => `'${name}'`).join(', ')}))
  FROM pg_catalog.pg_database WHERE datname = current_database()`;

/** Answers with the exit status: 0 where the proxy can work, 1 where it cannot. */
export async function runCheck(config: Config): Promise<number> {
  const [lead, ...followers] = config.writers;
  const named: { role: Report['role']; dsn: Dsn }[] = [
    { role: 'lead', dsn: lead },
    ...followers.map((dsn) => ({ role: 'follower' as const, dsn })),
    ...(config.reader === undefined ? [] : [{ role: 'reader' as const, dsn: config.reader }]),
  ];
  // One writer commits by itself.
  const commitMode = followers.length === 0 ? 'one-phase' : config.settings.commitMode;
  const settings = { ...config.settings, commitMode };
  const reports = await Promise.all(named.map(({ role, dsn }) => look(role, dsn, settings)));
  const { errors, warnings } = judge(reports);
  process.stdout.write(`${table(reports)}\n\n`);
  for (const warning of [...config.warnings, ...warnings]) process.stdout.write(`warning: ${warning}\n`);
  for (const error of errors) process.stdout.write(`error: ${error}\n`);
  const verdict = errors.length > 0 ? 'not usable' : warnings.length > 0 ? 'usable, with warnings' : 'usable';
  process.stdout.write(`verdict: ${verdict}\n`);
  return errors.length > 0 ? 1 : 0;
}

async function look(role: Report['role'], dsn: Dsn, settings: Settings): Promise<Report> {
  const user = dsn.user ?? 'postgres';
  const login = createLogin(user, dsn.database ?? user, dsn.password, new Map([['client_encoding', 'UTF8']]));
  const address = { host: dsn.host, port: dsn.port };
  try {
    const { password, tls } = dsn;
    const options = { address, user, password, parameters: login.parameters, keepAliveMs: undefined, tls };
    const backend = await connectBackend(options, dsn.connectTimeoutMs ?? settings.connectTimeoutMs);
    const watchdog = guard([backend], settings.followerTimeoutMs);
    try {
      const found = await examine(backend);
      return {
        role,
        dsn,
        found: { ...found, readiness: await judgeReadiness(role, dsn, settings, { backend, ...found }) },
        problem: undefined,
      };
    } finally {
      watchdog.clear();
      backend.close('idle');
    }
  } catch (error) {
    if (!(error instanceof ConnectError) && !(error instanceof BackendLostError)) throw error;
    return { role, dsn, found: undefined, problem: error.message };
  }
}

/** Rejects with BackendLostError. */
async function examine(backend: Backend): Promise<Omit<Found, 'readiness'>> {
  const identity = await identify(backend);
  const asked = Date.now();
  const answer = await backend.ask(LOOK);
  const middle = (asked + Date.now()) / 2;
  const [version, prepared, clock, encoding, locale, settings] = answer.rows[0] ?? [];
  return {
    identity,
    tls: backend.encryption?.protocol ?? '-',
    version: version ?? '?',
    maxPrepared: Number(prepared ?? 0),
    clockMs: Math.round(Number(clock ?? 0) - middle),
    encoding: encoding ?? '?',
    locale: locale ?? '?',
    settings: JSON.parse(settings ?? '{}') as Record<string, string>,
  };
}

/** What two-phase commit needs of it. Rejects with BackendLostError. */
async function judgeReadiness(
  role: Report['role'],
  dsn: Dsn,
  { commitMode, poolSize }: Settings,
  there: Visit & Pick<Found, 'maxPrepared'>,
): Promise<Findings> {
  if (commitMode === 'one-phase' || role === 'reader') return { errors: [], warnings: [] };
  if (role === 'follower') return lookAtFollower(`follower ${describe(dsn)}`, there, there.maxPrepared, poolSize);
  return judgeLead(dsn, there);
}

/** A schema is in one database, and a privilege is one role's. */
async function judgeLead(dsn: Dsn, there: Visit): Promise<Findings> {
  if (dsn.user !== undefined && dsn.database !== undefined) return lookAtLead(there);
  const what = dsn.database === undefined ? 'database' : 'user';
  const text = `the lead's DSN names no ${what}: whether schema pprox is there is found out when a client comes`;
  return { errors: [], warnings: [text] };
}

function judge(reports: readonly Report[]): { errors: string[]; warnings: string[] } {
  const errors: string[] = [];
  const warnings: string[] = [];
  const lead = reports.find(({ role }) => role === 'lead')?.found;
  for (const { role, dsn, found, problem } of reports) {
    const name = `${role} ${describe(dsn)}`;
    if (found === undefined) {
      errors.push(`${name}: ${problem ?? 'could not be looked at'}`);
      continue;
    }
    const writer = role !== 'reader';
    if (writer && found.identity.recovery === 'standby')
      errors.push(`${name} is in recovery: a standby cannot be a writer`);
    errors.push(...found.readiness.errors);
    warnings.push(...found.readiness.warnings);
    if (Math.abs(found.clockMs) > CLOCK_MS)
      warnings.push(`${name}: its clock differs from this machine's by ${found.clockMs} ms`);
    if (lead === undefined || role === 'lead') continue;
    if (found.encoding !== lead.encoding)
      errors.push(`${name} has encoding ${found.encoding}, the lead ${lead.encoding}`);
    if (found.locale !== lead.locale)
      warnings.push(`${name} has locale ${found.locale}, the lead ${lead.locale}: text may sort otherwise`);
  }
  for (const { role, dsn, found } of reports) {
    if (role !== 'follower' || found === undefined || lead === undefined) continue;
    for (const name of SETTINGS) {
      const [mine, its] = [found.settings[name], lead.settings[name]];
      if (mine !== its) warnings.push(`follower ${describe(dsn)} has ${name} = '${mine}', the lead '${its}'`);
    }
  }
  const instances = reports.filter(({ role }) => role !== 'reader').flatMap(({ found }) => found?.identity ?? []);
  const same = instances.some(({ systemIdentifier: id, startedAt }, index) =>
    instances.slice(0, index).some((other) => other.systemIdentifier === id && other.startedAt === startedAt),
  );
  if (same) errors.push('two writers are one and the same server');
  if (relation(reports) === 'unrelated') {
    warnings.push('the reader is no standby of a writer: a session may not read there what it has just written');
  }
  return { errors, warnings };
}

function relation(reports: readonly Report[]): string {
  const of = (role: Report['role']): (Identity | undefined)[] =>
    reports.filter((report) => report.role === role).map(({ found }) => found?.identity);
  const [reader] = of('reader');
  const [lead] = of('lead');
  const related = relate(reader, lead, of('follower'));
  return related.kind === 'standby of a follower' || related.kind === 'follower itself'
    ? `${related.kind} ${related.follower + 1}`
    : related.kind;
}

function table(reports: readonly Report[]): string {
  const heads = ['role', 'server', 'version', 'state', 'follows', 'tls', 'max_prepared', 'clock', 'encoding', 'locale'];
  const rows = reports.map(({ role, dsn, found }) =>
    found === undefined
      ? [role, describe(dsn), '-', 'unreachable', '-', '-', '-', '-', '-', '-']
      : [
          role,
          describe(dsn),
          found.version,
          found.identity.recovery,
          role === 'reader' ? relation(reports) : '-',
          found.tls,
          String(found.maxPrepared),
          `${found.clockMs >= 0 ? '+' : ''}${found.clockMs} ms`,
          found.encoding,
          found.locale,
        ],
  );
  const widths = heads.map((head, column) => Math.max(head.length, ...rows.map((row) => row[column]?.length ?? 0)));
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd();
  return [line(heads), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)].join('\n');
}
