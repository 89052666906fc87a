/** The servers together: who leads, who follows, who reads, and what a reader's data is worth. */
import { guard } from '../backend/guard.ts';
import type { Login } from '../backend/login.ts';
import type { Lease } from '../backend/pool.ts';
import type { Config } from '../config/config.ts';
import { describe as describeDsn } from '../config/dsn.ts';
import type { PproxError } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import { type Relation, relate } from './identity.ts';
import { type Lsn, parseLsn, reachable } from './lsn.ts';
import { Node } from './node.ts';

/** Which writer's log a reader replays: a session's own writes are found there. */
export type PositionSource =
  | { readonly kind: 'lead' }
  | { readonly kind: 'follower'; readonly follower: number }
  /** The reader has not been reached yet, and may turn out to be any of these. */
  | { readonly kind: 'unknown' }
  | { readonly kind: 'none' };

export class Cluster {
  readonly lead: Node;
  readonly followers: readonly Node[];
  /** Undefined: the lead reads. */
  readonly reader: Node | undefined;
  readonly #log: Log;
  readonly #replayTimeoutMs: number;
  #relation: Relation = { kind: 'unknown' };
  /** The reader has replayed at least this far; it never goes back while it is the same server. */
  #replayed: Lsn = 0n;

  constructor(config: Config, log: Log) {
    const [lead, ...followers] = config.writers;
    this.lead = new Node('lead', lead, describeDsn(lead), config.settings, log);
    this.followers = followers.map((dsn) => new Node('follower', dsn, describeDsn(dsn), config.settings, log));
    this.reader = config.reader && new Node('reader', config.reader, describeDsn(config.reader), config.settings, log);
    this.#log = log;
    this.#replayTimeoutMs = config.settings.connectTimeoutMs;
    for (const node of this.nodes) node.onIdentity = () => this.#related();
  }

  get nodes(): readonly Node[] {
    return [this.lead, ...this.followers, ...(this.reader === undefined ? [] : [this.reader])];
  }

  get writers(): readonly Node[] {
    return [this.lead, ...this.followers];
  }

  get relation(): Relation {
    return this.#relation;
  }

  /** The writer whose position a session remembers after its commits. */
  get positionSource(): PositionSource {
    switch (this.#relation.kind) {
      case 'standby of the lead':
        return { kind: 'lead' };
      case 'standby of a follower':
        return { kind: 'follower', follower: this.#relation.follower };
      case 'unknown':
        return { kind: this.reader === undefined ? 'none' : 'unknown' };
      default:
        return { kind: 'none' };
    }
  }

  /**
   * Whether `lease`, of the reader, shows everything up to `position`. Asks the server only where it was not known before.
   * Rejects with BackendLostError.
   */
  async hasReplayed(position: Lsn, lease: Lease): Promise<boolean> {
    if (this.#replayed >= position) return true;
    const watchdog = guard([lease.backend], this.#replayTimeoutMs);
    const asked = lease.backend.ask('SELECT pg_catalog.pg_is_in_recovery(), pg_catalog.pg_last_wal_replay_lsn()');
    const answer = await asked.finally(() => watchdog.clear());
    // Who was kept from asking knows nothing.
    if (answer.error !== undefined) return false;
    const [recovery, lsn] = answer.rows[0] ?? [];
    if (recovery !== 't') {
      // It was promoted: from here on it has data of its own.
      this.reader?.forgetIdentity();
      return false;
    }
    if (lsn !== null && lsn !== undefined) {
      const replayed = parseLsn(lsn);
      if (replayed > this.#replayed) this.#replayed = replayed;
    }
    return this.#replayed >= position;
  }

  /** The position that a reader can be seen to reach, for an insert position of the writer that it follows. */
  reachable(insert: Lsn): Lsn {
    return reachable(insert, this.lead.identity?.walSegmentBytes ?? DEFAULT_SEGMENT_BYTES);
  }

  /** Looks at every server that the DSNs allow to be looked at without a client. Never rejects: what is down is said in the log. */
  async probe(fallback: {
    user: string;
    database: string;
  }): Promise<readonly { node: Node; error: PproxError | undefined }[]> {
    return Promise.all(
      this.nodes.map(async (node) => {
        if (node.dsn.user === undefined) return { node, error: undefined };
        const login: Login = node.login({ ...fallback, parameters: PROBE_PARAMETERS });
        try {
          const lease = await node.lease(login);
          lease.release('idle');
          return { node, error: undefined };
        } catch (error) {
          return { node, error: error as PproxError };
        }
      }),
    );
  }

  close(): void {
    for (const node of this.nodes) node.close();
  }

  #related(): void {
    if (this.reader === undefined) return;
    const before = this.#relation;
    this.#relation = relate(
      this.reader.identity,
      this.lead.identity,
      this.followers.map((node) => node.identity),
    );
    if (this.#relation.kind === before.kind) return;
    this.#replayed = 0n;
    const fields = { reader: this.reader.label, relation: this.#relation.kind };
    if (this.#relation.kind === 'unrelated') {
      this.#log.warn('the reader is no standby of a writer: reads from it may miss what the session wrote', fields);
    } else this.#log.info('reader relation', fields);
  }
}

const DEFAULT_SEGMENT_BYTES = 16n * 1024n * 1024n;

const PROBE_PARAMETERS: ReadonlyMap<string, string> = new Map([
  ['application_name', 'pprox'],
  ['client_encoding', 'UTF8'],
]);
