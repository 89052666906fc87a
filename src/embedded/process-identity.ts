/**
 * Which process a number means. A pid alone is handed out again; a pid with the moment its process began is not.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, readlinkSync } from 'node:fs';
import { systemCode } from './failure.ts';

export interface ProcessIdentity {
  readonly pid: number;
  /** Opaque, equal only for the same process. Undefined where the platform does not tell. */
  readonly began: string | undefined;
}

/** The process that has this pid now; undefined when there is none, or only its unreaped remains. */
export function identify(pid: number): ProcessIdentity | undefined {
  if (process.platform === 'linux') return identifyByProc(pid);
  try {
    process.kill(pid, 0);
  } catch (error) {
    if (systemCode(error) !== 'EPERM') return undefined;
  }
  return { pid, began: process.platform === 'win32' ? undefined : askPs(pid) };
}

/** Whether that very process still runs. Of another container's processes (one that shares a folder) nothing is known. */
export function fateOf(identity: ProcessIdentity): 'alive' | 'dead' | 'unknown' {
  if (identity.began === undefined) return 'unknown';
  if (identify(identity.pid)?.began === identity.began) return 'alive';
  if (process.platform !== 'linux') return 'dead';
  const [boot, namespace] = bootAndNamespace().split('/');
  const [itsBoot, itsNamespace] = identity.began.split('/');
  return boot === itsBoot && namespace !== itsNamespace ? 'unknown' : 'dead';
}

export function isAlive(identity: ProcessIdentity): boolean {
  return fateOf(identity) === 'alive';
}

/** proc(5), /proc/pid/stat: the state is the first field after the command's name in parentheses, starttime the twentieth. */
function identifyByProc(pid: number): ProcessIdentity | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  } catch (error) {
    const code = systemCode(error);
    if (code === 'ENOENT' || code === 'ESRCH') return undefined;
    throw error;
  }
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  if (fields[0] === 'Z' || fields[0] === 'X') return undefined;
  return { pid, began: `${bootAndNamespace()}/${fields[19]}` };
}

/** Start times count from boot, and pids belong to a namespace (containers that share a folder). */
function bootAndNamespace(): string {
  const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
  return `${boot}/${readlinkSync('/proc/self/ns/pid')}`;
}

function askPs(pid: number): string | undefined {
  try {
    const began = execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8', timeout: 5_000 }).trim();
    return began === '' ? undefined : began;
  } catch {
    return undefined; // ps exits with 1 when there is no such process
  }
}
