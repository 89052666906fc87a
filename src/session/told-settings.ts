/** What one client has been told of its settings (ParameterStatus, protocol manual "Asynchronous Operations"), and when it is told next. */
import type { Backend } from '../backend/backend.ts';
import type { Lexis } from '../sql/statement.ts';
import { encodeParameterStatus } from '../wire/backend.ts';
import type { ClientLink } from './client-link.ts';

/** Reports that a standby's session differs in by itself. */
const OF_THE_SERVER: ReadonlySet<string> = new Set([
  'default_transaction_read_only',
  'in_hot_standby',
  'server_encoding',
  'server_version',
]);

export class ToldSettings {
  readonly #link: ClientLink;
  /** The lead's settings as the client was last told. */
  readonly #told = new Map<string, string>();
  #from: { readonly backend: Backend; readonly version: number } | undefined;
  /** Has done something for the client since it was told. */
  #noted: { readonly backend: Backend; readonly of: 'lead' | 'reader' } | undefined;

  constructor(link: ClientLink) {
    this.#link = link;
  }

  get(name: string): string | undefined {
    return this.#told.get(name);
  }

  get lexis(): Lexis {
    return {
      encoding: this.#told.get('client_encoding') ?? 'UTF8',
      standardStrings: this.#told.get('standard_conforming_strings') === 'off' ? 'off' : 'on',
    };
  }

  /** `backend` has done something for the client: where its settings have changed, the client is told at the end of the query. */
  note(backend: Backend, of: 'lead' | 'reader' = 'lead'): void {
    this.#noted = { backend, of };
  }

  /** The end of a query, or between two. */
  tellNoted(): void {
    if (this.#noted !== undefined) this.tell(this.#noted.backend, this.#noted.of);
  }

  /** Where the settings differ from what was told last; a reader's, without what is of that server. */
  tell(backend: Backend, of: 'lead' | 'reader' = 'lead'): void {
    this.#noted = undefined;
    if (this.#from?.backend === backend && this.#from.version === backend.parametersVersion) return;
    for (const [name, value] of backend.parameters) {
      if (this.#told.get(name) === value || (of === 'reader' && OF_THE_SERVER.has(name))) continue;
      this.#told.set(name, value);
      this.#link.send(encodeParameterStatus(name, value));
    }
    this.#from = { backend, version: backend.parametersVersion };
  }
}
