/** By what one client's session is known to each server: who it is, and what its server sessions begin with. */
import type { Backend } from '../backend/backend.ts';
import type { Login } from '../backend/login.ts';
import { type Beginning, beginningOf, difference, knownBeginning } from '../cluster/beginnings.ts';
import type { Cluster } from '../cluster/cluster.ts';
import type { Node } from '../cluster/node.ts';
import { isTimeout } from '../sql/setting-names.ts';

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
  readonly #logins = new Map<Node, Login>();
  /** What its server session on the lead has begun with, the latest of them: those on followers have to as well. */
  #begun: Beginning | undefined;
  #scope: string | undefined;

  constructor(cluster: Cluster, client: ClientIdentity) {
    this.#cluster = cluster;
    this.#client = client;
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

  /** Equal for sessions that log in at the lead alike, and found it alike. */
  get scope(): string {
    this.#scope ??= `${this.at(this.#cluster.lead).key}\0\0\0\0${this.#begun?.key ?? ''}`;
    return this.#scope;
  }

  /** This server session of the lead is the session's now, as far as it is known how it has begun: `otherwise` than the one before. */
  note(lead: Backend): 'as before' | 'otherwise' {
    const begun = knownBeginning(lead);
    return begun === undefined ? 'as before' : this.#follow(begun);
  }

  /** What followers begin with is known before the first of them is leased. Rejects as `beginningOf`. */
  async learn(lead: Backend): Promise<'as before' | 'otherwise'> {
    return this.#cluster.followers.length === 0 ? 'as before' : this.#follow(await beginningOf(lead));
  }

  #follow(begun: Beginning): 'as before' | 'otherwise' {
    const before = this.#begun;
    if (before?.key === begun.key) return 'as before';
    this.#begun = begun;
    this.#scope = undefined;
    for (const node of this.#cluster.followers) this.#logins.delete(node);
    return before === undefined ? 'as before' : 'otherwise';
  }

  /** Whether followers were told the same of what server sessions begin with. */
  follows(begun: Beginning): boolean {
    return this.#begun?.key === begun.key;
  }

  /** The name of a setting that the server session on a follower has begun with otherwise than the lead's. Rejects as `beginningOf`. */
  async otherwise(follower: Backend): Promise<string | undefined> {
    if (this.#begun === undefined) return undefined;
    return difference(this.#begun, await beginningOf(follower), this.#client.parameters);
  }

  /**
   * A follower finds names, and reads, computes and writes values as the lead does, whatever its own configuration says: else
   * the same text would have another effect. Its clocks stand still: a transaction waits there while the lead works.
   */
  #asOnLead(): ClientIdentity {
    const own = [...this.#client.parameters].filter(([name]) => !isTimeout(name.toLowerCase()));
    const parameters = new Map([...own, ...STOPPED_CLOCKS]);
    const given = new Set([...parameters.keys()].map((name) => name.toLowerCase()));
    for (const [name, value] of this.#begun?.values ?? [])
      if (!given.has(name.toLowerCase())) parameters.set(name, value);
    return { ...this.#client, parameters };
  }
}
