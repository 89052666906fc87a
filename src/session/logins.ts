/** By what one client's session is known to each server: who it is, and what its server sessions begin with. */
import type { Backend } from '../backend/backend.ts';
import type { Login } from '../backend/login.ts';
import type { Cluster } from '../cluster/cluster.ts';
import type { Node } from '../cluster/node.ts';
import { isTimeout } from '../sql/setting-names.ts';
import { defaultsOf } from './lead-defaults.ts';
import type { ToldSettings } from './told-settings.ts';

/** Settings that every supported version takes at its start. */
const STOPPED_CLOCKS: readonly (readonly [string, string])[] = [
  ['idle_in_transaction_session_timeout', '0'],
  ['idle_session_timeout', '0'],
  ['statement_timeout', '0'],
];

/** What the proxy asks at the lead for this client and others alike, as an application_name. */
export type Purpose = 'pprox: process ids' | 'pprox: LISTEN' | 'pprox: definitions';

export interface ClientIdentity {
  readonly user: string;
  readonly database: string;
  /** Start-up parameters other than user and database. */
  readonly parameters: ReadonlyMap<string, string>;
}

export class SessionLogins {
  readonly #cluster: Cluster;
  readonly #client: ClientIdentity;
  readonly #told: ToldSettings;
  readonly #logins = new Map<Node, Login>();
  /** The lead's settings before the client changed any. */
  #initial: ReadonlyMap<string, string> | undefined;
  /** What its server sessions on the lead begin with, and those on followers have to; empty until the first of these. */
  #defaults: ReadonlyMap<string, string> = new Map();

  constructor(cluster: Cluster, client: ClientIdentity, told: ToldSettings) {
    this.#cluster = cluster;
    this.#client = client;
    this.#told = told;
  }

  at(node: Node): Login {
    let login = this.#logins.get(node);
    if (login === undefined) {
      login = node.login(node.role === 'follower' ? this.#asOnLead() : this.#client);
      this.#logins.set(node, login);
    }
    return login;
  }

  /** Of a connection that is not the session's own. */
  shared(purpose: Purpose, encoding = 'UTF8'): Login {
    return this.beside(this.#cluster.lead, [
      ['application_name', purpose],
      ['client_encoding', encoding],
    ]);
  }

  /** As the client, with these start-up parameters in place of its own. */
  beside(node: Node, parameters: Iterable<readonly [string, string]>): Login {
    return node.login({ ...this.#client, parameters: new Map(parameters) });
  }

  /** The first server session on the lead is there. */
  noteInitial(settings: ReadonlyMap<string, string> | undefined): void {
    this.#initial ??= settings;
  }

  /** What followers begin with is known before the first of them is leased. Rejects as `defaultsOf`. */
  async learnDefaults(lead: Backend): Promise<void> {
    if (this.#defaults.size > 0 || this.#cluster.followers.length === 0) return;
    this.#defaults = await defaultsOf(lead);
    for (const node of this.#cluster.followers) this.#logins.delete(node);
  }

  /**
   * A follower finds names, and reads, computes and writes values as the lead does, whatever its own configuration says: else
   * the same text would have another effect. Its clocks stand still: a transaction waits there while the lead works. Asked for when the lead's settings
   * are known, since followers are leased behind the lead.
   */
  #asOnLead(): ClientIdentity {
    const own = [...this.#client.parameters].filter(([name]) => !isTimeout(name.toLowerCase()));
    const parameters = new Map([...own, ...STOPPED_CLOCKS]);
    const given = new Set([...parameters.keys()].map((name) => name.toLowerCase()));
    for (const name of ['DateStyle', 'IntervalStyle', 'TimeZone']) {
      const value = (this.#initial ?? this.#told).get(name);
      if (value !== undefined && !given.has(name.toLowerCase())) parameters.set(name, value);
    }
    for (const [name, value] of this.#defaults) if (!given.has(name.toLowerCase())) parameters.set(name, value);
    return { ...this.#client, parameters };
  }
}
