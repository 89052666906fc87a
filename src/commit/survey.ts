/** What is prepared on the followers now, and what recovery will do about it: for `pprox recover`. Changes nothing. */
import { guard } from '../backend/guard.ts';
import type { Answer } from '../backend/receiver.ts';
import type { CommitNode } from './coordinator.ts';
import { type Account, connectForRecovery } from './decider.ts';
import { PREPARED, readText } from './decisions.ts';
import { type Gid, parseGid } from './gid.ts';

export interface Finding {
  readonly gid: string;
  /** The follower that has it prepared. */
  readonly server: string;
  readonly ageMs: number;
  /** Transactions that have written there since: VACUUM cannot remove what they leave before it has ended. */
  readonly vacuumHold: number;
  /** `none`: no row stands, so that it can be fenced. `unknown`: the lead, or that database of it, does not answer. */
  readonly decision: 'committed' | 'fenced' | 'none' | 'unknown';
  readonly action:
    | 'commit'
    | 'roll back'
    | 'wait: younger than the time of grace'
    | 'wait for the lead'
    | 'leave alone: of another lead';
}

export interface SurveyOptions {
  readonly lead: CommitNode;
  readonly followers: readonly CommitNode[];
  /** Where a DSN names nobody. */
  readonly account: Account;
  readonly graceMs: number;
  readonly timeoutMs: number;
}

/** Oldest first. Rejects with PproxError or BackendLostError where a follower does not answer. */
export async function survey(options: SurveyOptions): Promise<readonly Finding[]> {
  const found = await Promise.all(options.followers.map((node, follower) => surveyOne(options, node, follower)));
  return found.flat().toSorted((a, b) => b.ageMs - a.ageMs);
}

async function surveyOne(options: SurveyOptions, node: CommitNode, follower: number): Promise<readonly Finding[]> {
  const { rows } = await askOnce(options, node, options.account, PREPARED);
  const findings: Finding[] = [];
  for (const [text, owner, , age, , hold] of rows) {
    const gid = parseGid(text ?? '');
    if (gid === undefined || gid.follower !== follower) continue;
    const common = { gid: text ?? '', server: node.label, ageMs: Number(age), vacuumHold: Number(hold) };
    if (gid.home.systemIdentifier !== options.lead.identity?.systemIdentifier) {
      findings.push({ ...common, decision: 'unknown', action: 'leave alone: of another lead' });
      continue;
    }
    const decision = await decisionOf(options, gid, owner ?? '');
    findings.push({ ...common, decision, action: actionFor(options, decision, common.ageMs) });
  }
  return findings;
}

function actionFor({ graceMs }: SurveyOptions, decision: Finding['decision'], ageMs: number): Finding['action'] {
  if (ageMs < graceMs) return 'wait: younger than the time of grace';
  if (decision === 'unknown') return 'wait for the lead';
  return decision === 'committed' ? 'commit' : 'roll back';
}

async function decisionOf(options: SurveyOptions, { home, id }: Gid, user: string): Promise<Finding['decision']> {
  const { lead, account } = options;
  const name = `SELECT datname FROM pg_catalog.pg_database WHERE oid = ${home.databaseOid}`;
  const database = (await askOnce(options, lead, account, name)).rows[0]?.[0];
  if (database === null || database === undefined) return 'unknown';
  const there = await askOnce(options, lead, { user, database }, readText(id), home.databaseOid);
  if (there.error !== undefined) return 'unknown';
  const [row] = there.rows;
  return row === undefined ? 'none' : row[0] === 't' ? 'committed' : 'fenced';
}

/** `databaseOid`: where it has to be asked; a DSN's own database goes before what was asked for. */
async function askOnce(
  { timeoutMs }: SurveyOptions,
  node: CommitNode,
  account: Account,
  text: string,
  databaseOid?: string,
): Promise<Pick<Answer, 'rows' | 'error'>> {
  const backend = await connectForRecovery(node, account);
  const watchdog = guard([backend], timeoutMs);
  try {
    if (databaseOid !== undefined && backend.databaseOid !== databaseOid) {
      return { rows: [], error: { severity: 'ERROR', code: '3D000', message: 'another database' } };
    }
    return await backend.ask(text);
  } finally {
    watchdog.clear();
    backend.close('idle');
  }
}
