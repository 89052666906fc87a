/** The parameters of a DSN as values: ports, addresses, seconds. */
import { isIP } from 'node:net';
import { isHostName } from './address.ts';
import type { Dsn } from './config.ts';
import { encodeHint, type Given } from './dsn-syntax.ts';
import { readTls } from './dsn-tls.ts';
import type { Mistake, Report } from './problem.ts';

const defaultPort = 5432;

/** A day: beyond it Node's timers would soon overflow, and nobody means it. */
const maxTimeoutSeconds = 86_400;

/** Linux refuses a longer TCP_KEEPIDLE. */
const maxKeepaliveSeconds = 32_767;

/** The values of `dsn` mean nothing where there are mistakes. */
export function readDsn(given: Given): { readonly dsn: Dsn; readonly mistakes: readonly Mistake[] } {
  const mistakes: Mistake[] = [];
  const report: Report = (message, hint) => mistakes.push(hint === undefined ? { message } : { message, hint });
  const dsn: Dsn = {
    host: readHost(given, report),
    port: readPort(given, report),
    database: given.get('dbname') || undefined,
    user: given.get('user') || undefined,
    password: given.get('password') || undefined,
    tls: readTls(given, report),
    connectTimeoutMs: readConnectTimeout(given, report),
    keepalives: readKeepalives(given, report),
    parameters: readStartupParameters(given),
  };
  return { dsn, mistakes };
}

/**
 * `hostaddr` wins over `host`, as the address to connect to. libpq's default, a Unix socket or localhost, does not apply: a host
 * that is missing is more often a variable that was not set than the wish to write to whatever runs on this machine.
 */
function readHost(given: Given, report: Report): string {
  const host = given.get('host') ?? '';
  const hostaddr = given.get('hostaddr') ?? '';
  const severalHint = 'A DSN names one server; write one DSN for each, separated by commas.';
  if (host.includes(',') || hostaddr.includes(',')) {
    report('names several hosts', severalHint);
    return host;
  }
  if (hostaddr !== '' && isIP(hostaddr) === 0) report('hostaddr is not an IP address', 'A name goes into host.');
  if (host !== '' && !isServerHost(host))
    report('the host is neither a host name, an address nor an absolute path', encodeHint);
  if (host === '' && hostaddr === '') {
    report(
      'names no host',
      'Name it, be it localhost; a Unix socket by the absolute path of its folder, in a URI as %2Fpath or ?host=/path.',
    );
  }
  return hostaddr === '' ? host : hostaddr;
}

function isServerHost(host: string): boolean {
  return host.startsWith('/') ? !host.includes('@') : isIP(host) !== 0 || isHostName(host);
}

function readPort(given: Given, report: Report): number {
  const text = given.get('port') || `${defaultPort}`;
  if (text.includes(',')) report('names several ports', 'A DSN names one server.');
  else if (!/^\d{1,5}$/.test(text) || Number(text) < 1 || Number(text) > 65_535) {
    report('the port is not a number of 1 to 65535', encodeHint);
  }
  return Number(text);
}

/** Seconds; zero and less is libpq's "for ever", for which pprox has its own limit. */
function readConnectTimeout(given: Given, report: Report): number | undefined {
  const seconds = readInteger(given, 'connect_timeout', maxTimeoutSeconds, report);
  return seconds === undefined || seconds <= 0 ? undefined : seconds * 1_000;
}

function readKeepalives(given: Given, report: Report): Dsn['keepalives'] {
  const enabled = readInteger(given, 'keepalives', 1, report);
  const seconds = readInteger(given, 'keepalives_idle', maxKeepaliveSeconds, report);
  if (enabled === 0) return 'off';
  return seconds === undefined || seconds <= 0 ? undefined : { idleMs: seconds * 1_000 };
}

function readInteger(given: Given, name: string, max: number, report: Report): number | undefined {
  const text = (given.get(name) ?? '').trim();
  if (text === '') return undefined;
  const value = Number(text);
  if (!/^[+-]?\d{1,10}$/.test(text)) report(`invalid integer value for connection option "${name}"`);
  else if (value > max) report(`${name} can be ${max} at most`);
  return value;
}

function readStartupParameters(given: Given): Dsn['parameters'] {
  const encoding = given.get('client_encoding') ?? '';
  return Object.fromEntries(
    [
      ['options', given.get('options')],
      ['application_name', given.get('application_name') || given.get('fallback_application_name')],
      // `auto` is the encoding of libpq's locale; a proxy has none, and the client's holds.
      ['client_encoding', encoding === 'auto' ? undefined : encoding],
    ].filter((pair): pair is [string, string] => pair[1] !== undefined && pair[1] !== ''),
  );
}
