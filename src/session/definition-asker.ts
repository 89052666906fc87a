/** How one client's session asks the lead of its definitions (`commit/definitions.ts`). */
import type { Backend } from '../backend/backend.ts';
import type { Answer } from '../backend/receiver.ts';
import { asLoginRole, asLoginRoleWithin, END_LOGIN_ROLE } from '../commit/decisions.ts';
import type { DefinitionAsker } from '../commit/definitions.ts';
import { PproxError } from '../lib/errors.ts';
import type { SessionState } from './state.ts';

/** What it asks beside its transaction, no cancel request stops. */
export function definitionAsker(session: SessionState): DefinitionAsker {
  const { block, cluster, services } = session;
  const { user, database } = session.logins.at(cluster.lead);
  const own = block.kind === 'writers' ? block.legs.lead.lease.backend : undefined;
  return {
    key: `${user}\0${database}`,
    account: { user, database },
    ask: async (text) => told(await (own === undefined ? session.ask(asLoginRole(text)) : askWithin(own, text))),
    place: own === undefined && !session.pinned ? 'outside' : 'in a transaction',
    askBeside: async (text) => {
      const login = session.logins.shared('pprox: definitions');
      const ask = (backend: Backend): Promise<Answer> => backend.ask(asLoginRole(text));
      return told(await services.onlookers.use(cluster.lead, login, undefined, ask));
    },
  };
}

/** In the transaction of the backend, which goes on where it is refused. */
async function askWithin(backend: Backend, text: string): Promise<Answer> {
  const answer = await backend.ask(asLoginRoleWithin(text));
  if (answer.error !== undefined) await backend.ask(END_LOGIN_ROLE);
  return answer;
}

/** Throws PproxError where it was refused. */
function told({ rows, error }: Answer): Answer['rows'] {
  if (error === undefined) return rows;
  throw new PproxError('catalog_unreadable', {
    sqlstate: error.code,
    message: `the definitions of the lead could not be read: ${error.message}`,
  });
}
