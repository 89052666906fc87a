/** `pprox recover`: shows every transaction that is prepared on a follower, and ends those whose coordinator is gone. */
import { BackendLostError } from '../backend/receiver.ts';
import { Cluster } from '../cluster/cluster.ts';
import { Decider } from '../commit/decider.ts';
import { PendingSet } from '../commit/pending.ts';
import { Recovery } from '../commit/recovery.ts';
import { type Finding, survey, type SurveyOptions } from '../commit/survey.ts';
import type { Config } from '../config/config.ts';
import { PproxError } from '../lib/errors.ts';
import { createLog } from '../lib/log.ts';

export interface RecoverOptions {
  /** Where DSNs name no user. */
  readonly user: string | undefined;
  readonly mode: 'run' | 'dry run';
}

export interface RecoverOutput {
  readonly line: (text: string) => void;
  readonly problem: (text: string) => void;
}

/** It looks by itself, once. */
const NEVER_MS = 24 * 60 * 60 * 1000;

/** Answers with the exit status: 0 where nothing is left that this lead decides, 1 where something is or a server does not answer. */
export async function runRecover(config: Config, options: RecoverOptions, output: RecoverOutput): Promise<number> {
  const log = createLog('error');
  const cluster = new Cluster(config, log);
  const { lead, followers } = cluster;
  const user = options.user ?? lead.dsn.user ?? 'postgres';
  const account = { user, database: lead.dsn.database ?? 'postgres' };
  const { followerTimeoutMs: timeoutMs, recoveryGraceMs: graceMs, recoveryAlarmMs: alarmMs } = config.settings;
  const recovery = new Recovery({
    lead,
    followers,
    decider: new Decider({ timeoutMs, stuckMs: alarmMs, log }),
    account,
    pending: new PendingSet(),
    owns: () => false,
    intervalMs: NEVER_MS,
    graceMs,
    alarmMs,
    timeoutMs,
    log,
  });
  const where: SurveyOptions = { lead, followers, account, graceMs, timeoutMs };
  try {
    // Whose transactions are meant, the lead says.
    (await lead.connect(lead.login({ ...account, parameters: new Map() }))).close('idle');
    const before = await survey(where);
    print(before, output);
    if (options.mode === 'dry run') {
      output.line('dry run: nothing was changed');
      return open(before).length === 0 ? 0 : 1;
    }
    if (open(before).length === 0) return 0;
    await recovery.look();
    const left = open(await survey(where));
    for (const { gid, server, action } of left) output.problem(`${gid} is still prepared on ${server}: ${action}`);
    output.line(`ended: ${open(before).length - left.length}, left: ${left.length}`);
    return left.length === 0 ? 0 : 1;
  } catch (error) {
    if (!(error instanceof PproxError) && !(error instanceof BackendLostError)) throw error;
    output.problem(error.message);
    return 1;
  } finally {
    recovery.close();
    cluster.close();
  }
}

/** Those that this lead decides. */
function open(findings: readonly Finding[]): readonly Finding[] {
  return findings.filter(({ action }) => action !== 'leave alone: of another lead');
}

function print(findings: readonly Finding[], { line }: RecoverOutput): void {
  if (findings.length === 0) line('nothing is prepared');
  for (const { gid, server, ageMs, vacuumHold, decision, action } of findings) {
    line(
      `${gid}\n  on ${server} for ${(ageMs / 1000).toFixed(1)} s, holds back vacuum by ${vacuumHold} transactions, decision on the lead: ${decision}, to do: ${action}`,
    );
  }
}
