/**
 * A server's postgresql.conf and pg_hba.conf as this project writes them, next to the data directory and not in it: as root
 * we never write where the servers' account could have put a link.
 */
import { join } from 'node:path';

export type Durability = 'full' | 'none';

/** Later maps win. Values are plain text, without quotes. */
export function composeSettings(options: {
  readonly dataDirectory: string;
  readonly hbaFile: string;
  readonly port: number;
  readonly durability: Durability;
  /** Of a standby: where its primary listens, and the slot that keeps its WAL there. */
  readonly primary: { readonly port: number; readonly slot: string } | undefined;
  readonly extra: Readonly<Record<string, string>>;
}): Readonly<Record<string, string>> {
  const sockets = socketDirectory(options.dataDirectory, options.port);
  return {
    hba_file: options.hbaFile,
    listen_addresses: '127.0.0.1',
    port: String(options.port),
    // A list in PostgreSQL's eyes, hence the inner quotes.
    unix_socket_directories: sockets === undefined ? '' : `"${sockets.replaceAll('"', '""')}"`,
    max_connections: '200',
    max_prepared_transactions: '100',
    max_wal_senders: '10',
    max_replication_slots: '10',
    shared_buffers: options.durability === 'full' ? '128MB' : '32MB',
    wal_level: 'replica',
    hot_standby: 'on',
    hot_standby_feedback: 'on',
    wal_retrieve_retry_interval: '200ms',
    log_line_prefix: '%m [%p] %q%u@%d %a ',
    logging_collector: 'off',
    log_destination: 'stderr',
    ...(options.durability === 'none' ? { fsync: 'off', full_page_writes: 'off', max_wal_size: '4GB' } : {}),
    ...(options.primary === undefined
      ? {}
      : {
          primary_conninfo: `host=127.0.0.1 port=${options.primary.port} user=postgres application_name=reader`,
          primary_slot_name: options.primary.slot,
        }),
    ...options.extra,
  };
}

/** Includes what initdb wrote (locale, time zone); `ALTER SYSTEM` still wins over all of it. */
export function renderSettings(dataDirectory: string, settings: Readonly<Record<string, string>>): string {
  const lines = Object.entries(settings).map(([name, value]) => `${name} = ${quote(value)}`);
  return [
    '# Written at every start; use ALTER SYSTEM for settings of your own.',
    `include = ${quote(join(dataDirectory, 'postgresql.conf'))}`,
    ...lines,
    '',
  ].join('\n');
}

/** First match wins: the caller's lines come before those that trust everybody on loopback. */
export function renderHba(lines: readonly string[]): string {
  return [
    '# Written at every start.',
    ...lines,
    'local all all trust',
    'host all all 127.0.0.1/32 trust',
    'host all all ::1/128 trust',
    'local replication all trust',
    'host replication all 127.0.0.1/32 trust',
    '',
  ].join('\n');
}

/** Manual, "Setting Parameters via the Configuration File": quotes are doubled, backslashes escape. */
function quote(value: string): string {
  return `'${value.replaceAll('\\', '\\\\').replaceAll("'", "''").replaceAll('\n', '\\n')}'`;
}

/** The data directory, unless the socket's path would be longer than the system allows (sun_path without its NUL). */
export function socketDirectory(dataDirectory: string, port: number): string | undefined {
  const longest = process.platform === 'linux' ? 107 : 103;
  const path = join(dataDirectory, `.s.PGSQL.${port}`);
  return process.platform !== 'win32' && Buffer.byteLength(path) <= longest ? dataDirectory : undefined;
}
