/** libpq's password file (manual, "The Password File"): `host:port:database:user:password`, the first line that fits. */
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Dsn } from './config.ts';

/** A field that is undefined is the client's own, and only `*` fits it. */
export interface Login {
  readonly host: string;
  readonly port: number;
  readonly database: string | undefined;
  readonly user: string | undefined;
}

export type Passfile =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'missing' }
  /** libpq would not use it either; `reason` is for the log. */
  | { readonly kind: 'ignored'; readonly reason: string };

/** Folders of Unix sockets that PostgreSQL and its packages have built in; a password file calls them `localhost`. */
const defaultSocketFolders = ['/tmp', '/run/postgresql', '/var/run/postgresql'];

/** Undefined where the home folder is not known. */
export function defaultPassfile(environment: Readonly<Record<string, string | undefined>>): string | undefined {
  if (process.platform === 'win32') {
    return environment['APPDATA'] ? join(environment['APPDATA'], 'postgresql', 'pgpass.conf') : undefined;
  }
  return environment['HOME'] ? join(environment['HOME'], '.pgpass') : undefined;
}

export function readPassfile(path: string): Passfile {
  try {
    const stat = statSync(path);
    if (!stat.isFile()) return { kind: 'ignored', reason: 'is not a plain file' };
    if (process.platform !== 'win32' && (stat.mode & 0o077) !== 0) {
      return { kind: 'ignored', reason: 'has group or world access; permissions should be u=rw (0600) or less' };
    }
    return { kind: 'text', text: readFileSync(path, 'utf8') };
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    return code === 'ENOENT' ? { kind: 'missing' } : { kind: 'ignored', reason: `cannot be read (${String(code)})` };
  }
}

/** Undefined where no line fits. */
export function findPassword(text: string, login: Login): Dsn['password'] {
  const host = defaultSocketFolders.includes(login.host) ? 'localhost' : login.host;
  const wanted = [host, `${login.port}`, login.database, login.user];
  for (const line of text.split(/\r?\n/)) {
    if (line.startsWith('#')) continue;
    const fields = /^((?:[^:\\]|\\.)*):((?:[^:\\]|\\.)*):((?:[^:\\]|\\.)*):((?:[^:\\]|\\.)*):(.*)$/.exec(line);
    if (fields === null) continue;
    const fits = wanted.every(
      (value, index) => fields[index + 1] === '*' || unescape(fields[index + 1] ?? '') === value,
    );
    if (fits) return unescape(fields[5] ?? '') || undefined;
  }
  return undefined;
}

function unescape(field: string): string {
  return field.replace(/\\(.)/g, '$1');
}
