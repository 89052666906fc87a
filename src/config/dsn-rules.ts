/** What the DSNs of one configuration must be to each other. */
import type { Dsn } from './config.ts';
import { describe } from './dsn.ts';
import type { Problem } from './problem.ts';

/** A DSN and where it was written. */
export interface NamedDsn {
  readonly variable: string;
  /** `writer 2`, `reader`. */
  readonly label: string;
  readonly dsn: Dsn;
}

/** The reader may be one of the writers; two writers may not be one server, where every write would be applied twice. */
export function findConflicts(writers: readonly NamedDsn[], reader: NamedDsn | undefined): readonly Problem[] {
  return [...findSameServers(writers), ...findDatabaseConflicts(reader === undefined ? writers : [...writers, reader])];
}

function findSameServers(writers: readonly NamedDsn[]): readonly Problem[] {
  return writers.flatMap((writer, index) => {
    const twin = writers.slice(0, index).find(({ dsn }) => serverOf(dsn) === serverOf(writer.dsn));
    if (twin === undefined) return [];
    return [
      {
        variable: writer.variable,
        message: `${writer.label} is the same server as ${twin.label} (${describe(writer.dsn)})`,
        hint: 'Every write would be applied to it twice. Writers are independent servers.',
      },
    ];
  });
}

/** The names of loopback are one: two servers do not share a port there. */
function serverOf({ host, port }: Dsn): string {
  const name = host.toLowerCase().replace(/\.$/, '');
  return `${name === '127.0.0.1' || name === '::1' ? 'localhost' : name}\n${port}`;
}

/** Either every DSN names the same database, or none names any and the client's own is used on every server. */
function findDatabaseConflicts(dsns: readonly NamedDsn[]): readonly Problem[] {
  const [first, ...others] = dsns;
  if (first === undefined) return [];
  return others
    .filter(({ dsn }) => dsn.database !== first.dsn.database)
    .map(({ variable, label, dsn }) => ({
      variable,
      message: `${label} ${nameOf(dsn)}, ${first.label} ${nameOf(first.dsn)}`,
      hint: 'Name the same database in every DSN, or none in any of them: then it is the one that the client asks for.',
    }));
}

function nameOf({ database }: Dsn): string {
  return database === undefined ? 'names no database' : `names the database "${database}"`;
}
