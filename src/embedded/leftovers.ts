/** What killed runs left behind: servers that still run, and temporary data folders. */
import { existsSync, lstatSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { userFolder } from './cache.ts';
import { EmbeddedFailure, systemCode } from './failure.ts';
import { claim, ownerOf, type RecordedServer } from './ownership.ts';
import { isAlive } from './process-identity.ts';

/** How a postmaster is told to end, from polite to final, and how long each may take (manual, "Shutting Down the Server"). */
const pressure = [
  { signal: 'SIGINT', waitMs: 15_000 },
  { signal: 'SIGQUIT', waitMs: 10_000 },
  { signal: 'SIGKILL', waitMs: 5_000 },
] as const;

/** Ends servers that a dead run recorded. A pid that now means another process is left alone. */
export async function stopLeftovers(
  servers: readonly RecordedServer[],
  care: 'keep data' | 'discard',
): Promise<number> {
  const alive = servers.filter((server) => isAlive(server.process));
  await Promise.all(alive.map((server) => stopLeftover(server, care)));
  return alive.length;
}

async function stopLeftover(server: RecordedServer, care: 'keep data' | 'discard'): Promise<void> {
  for (const { signal, waitMs } of care === 'discard' ? pressure.slice(1) : pressure) {
    signalProcess(server, signal);
    signalProcess(server, 'SIGCONT'); // one that was stopped takes no other signal
    const deadline = performance.now() + waitMs;
    while (performance.now() < deadline) {
      if (!isAlive(server.process)) return;
      await sleep(20);
    }
  }
  throw new EmbeddedFailure(
    `The server ${server.name} of an earlier run (process ${server.process.pid}) does not end.`,
  );
}

function signalProcess(server: RecordedServer, signal: NodeJS.Signals): void {
  if (!isAlive(server.process)) return;
  try {
    process.kill(server.process.pid, signal);
  } catch (error) {
    if (systemCode(error) === 'ESRCH') return;
    throw new EmbeddedFailure(
      `The server ${server.name} of an earlier run (process ${server.process.pid}) still runs, and this user may not stop it.`,
      { cause: error },
    );
  }
}

/** A folder that is this young may be about to be claimed. */
const unclaimedGraceMs = 60_000;

/** Removes temporary data folders of this user whose owner is dead, and stops their servers. Returns how many. */
export async function removeAbandonedFolders(): Promise<number> {
  const clusters = userFolder('clusters');
  let removed = 0;
  for (const entry of readdirSync(clusters)) {
    const directory = join(clusters, entry);
    if (!isAbandoned(directory)) continue;
    try {
      await stopLeftovers(claim(directory).leftovers, 'discard');
    } catch (error) {
      if (error instanceof EmbeddedFailure || systemCode(error) === 'ENOENT') continue; // another run was quicker
      throw error;
    }
    removeFolder(directory);
    removed += 1;
  }
  return removed;
}

function isAbandoned(directory: string): boolean {
  const stat = lstatSync(directory, { throwIfNoEntry: false });
  if (stat === undefined || !stat.isDirectory()) return false;
  try {
    const owner = ownerOf(directory);
    return owner === 'dead' || (owner === 'unclaimed' && Date.now() - stat.mtimeMs > unclaimedGraceMs);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return false; // removed meanwhile
    throw error;
  }
}

/** A backend that outlives its postmaster for a moment may still write, hence the retries. */
export function removeFolder(directory: string): void {
  rmSync(directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
  if (existsSync(directory)) throw new EmbeddedFailure(`${directory} could not be removed.`);
}
