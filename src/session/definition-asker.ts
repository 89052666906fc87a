/** How one client's session asks the lead of its definitions (`commit/definitions.ts`). */
import type { Backend } from '../backend/backend.ts';
import { type Answer, rowsOf } from '../backend/receiver.ts';
import { asLoginRole, asLoginRoleWithin, END_LOGIN_ROLE } from '../commit/decisions.ts';
import { askerKey, type DefinitionAsker } from '../commit/definitions.ts';
import type { SessionState } from './state.ts';

/** What it asks beside its transaction, which is short, no cancel request stops. */
export function definitionAsker(session: SessionState): DefinitionAsker {
  const { block, cluster, services } = session;
  const { user, database } = session.logins.at(cluster.lead);
  const own = block.kind === 'writers' ? block.legs.lead.lease.backend : undefined;
  return {
    key: askerKey({ user, database }),
    account: { user, database },
    ask: async (text) =>
      told(await (own === undefined ? session.ask(asLoginRole(text)) : askWithin(session, own, text))),
    place: own === undefined && !session.pinned ? 'outside' : 'in a transaction',
    wait: (work) => session.cancels.aborting(work),
    askBeside: async (text) => {
      const login = session.logins.shared('pprox: definitions');
      const ask = (backend: Backend): Promise<Answer> => backend.ask(asLoginRole(text));
      return told(await services.onlookers.use(cluster.lead, login, undefined, ask));
    },
  };
}

/** In the transaction of the lead's `backend`, which goes on where it is refused. */
async function askWithin(session: SessionState, backend: Backend, text: string): Promise<Answer> {
  const answer = await session.ask(asLoginRoleWithin(text));
  if (answer.error !== undefined) await backend.ask(END_LOGIN_ROLE);
  return answer;
}

/** SQLSTATEs of a schema that is not there, or is another version's. */
const ANOTHER_SCHEMA: ReadonlySet<string> = new Set(['3F000', '42P01', '42703', '42883']);

function told(answer: Answer): Answer['rows'] {
  const hint = ANOTHER_SCHEMA.has(answer.error?.code ?? '')
    ? 'Schema pprox of this database is missing or of another version: "pprox init" makes and upgrades it, "pprox check" says what it finds.'
    : undefined;
  return rowsOf(answer, { context: 'the definitions of the lead could not be read', hint });
}
