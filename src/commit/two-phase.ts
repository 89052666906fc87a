/** Commits in two phases: the followers prepare, the lead's COMMIT decides (docs/adr/0014-two-phase-commit.md). */
import { guard } from '../backend/guard.ts';
import { BackendLostError } from '../backend/receiver.ts';
import { PproxError } from '../lib/errors.ts';
import type { CommitLeg, CommitOutcome, CommitRequest, Coordinator, Moment } from './coordinator.ts';
import { WRITTEN_ANYTHING } from './decisions.ts';
import type { Definitions } from './definitions.ts';
import { formatGid, type TransactionIds } from './gid.ts';
import { type OnePhase, rollback } from './one-phase.ts';
import type { Sweep } from './sweep.ts';
import { homeOf, notYetVisible } from './two-phase-errors.ts';
import { type RunOptions, TwoPhaseRun } from './two-phase-run.ts';

export interface TwoPhaseOptions extends RunOptions {
  readonly ids: TransactionIds;
  readonly sweep: Sweep;
  readonly definitions: Definitions;
  /** For transactions that no follower has a part in, or that have written nothing. */
  readonly alone: OnePhase;
}

export class TwoPhase implements Coordinator {
  readonly #options: TwoPhaseOptions;
  readonly leadAhead = 'for a moment';
  readonly decision = 'a row';

  constructor(options: TwoPhaseOptions) {
    this.#options = options;
  }

  othersVisible({ node, backend: { user, database } }: CommitLeg): Promise<void> {
    this.#options.recovery.noteAccount({ user, database });
    return this.#options.recovery.preparedOver(node);
  }

  async commit(request: CommitRequest): Promise<CommitOutcome> {
    if (request.followers.length === 0 || (await this.#decidesNothing(request))) {
      // Nothing of it is counted here.
      const definitions = {
        changes: 'nothing',
        sequences: { set: 'none', drawn: 'none' },
        agree: async () => undefined,
      } as const;
      return this.#options.alone.commit({ ...request, definitions });
    }
    const home = homeOf(request.lead);
    if (home instanceof PproxError) {
      await rollback([request.lead, ...request.followers], this.#options.timeoutMs);
      return { kind: 'rolled back', error: home };
    }
    const { changes } = request.definitions;
    const id = this.#options.ids.next(changes === 'nothing' ? 'rows' : 'definitions');
    request.named?.(formatGid({ home, id, follower: 0 }));
    const account = { user: request.lead.backend.user, database: request.lead.backend.database };
    this.#options.recovery.alive(id);
    this.#options.recovery.noteAccount(account);
    this.#options.sweep.note(account);
    try {
      return await new TwoPhaseRun(this.#options, request, home, id).run();
    } finally {
      this.#options.recovery.over(id);
    }
  }

  async #decidesNothing({ lead: { backend }, writes }: CommitRequest): Promise<boolean> {
    if (writes === 'likely') return false;
    const watchdog = guard([backend], this.#options.timeoutMs);
    try {
      const { rows } = await backend.ask(WRITTEN_ANYTHING);
      return rows[0]?.[0] === null;
    } catch (error) {
      // Its loss is met, and told, in the commit itself.
      if (!(error instanceof BackendLostError)) throw error;
      return false;
    } finally {
      watchdog.clear();
    }
  }

  get definitions(): Definitions {
    return this.#options.definitions;
  }

  get moment(): Moment {
    return this.#options.pending.moment;
  }

  visibleEverywhere(then: Moment = this.moment): Promise<void> | undefined {
    const { pending, timeoutMs } = this.#options;
    let gone = (): void => undefined;
    const giveUp = pending.whenGone(() => gone(), undefined, then);
    if (giveUp === undefined) return undefined;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        giveUp();
        reject(notYetVisible(`${pending.size} transactions wait for a follower to commit them.`));
      }, timeoutMs);
      gone = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
