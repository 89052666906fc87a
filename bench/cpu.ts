/** CPU time of processes, from Linux's /proc (proc(5), "/proc/pid/stat"). */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';

interface Stat {
  readonly parent: number;
  /** Its own, in user and kernel mode, all threads. */
  readonly ticks: number;
  /** Of children that have ended and were waited for. */
  readonly ticksOfEnded: number;
}

const ticksPerSecond = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));

function readStat(pid: number): Stat | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The name in parentheses may contain anything; field 3 follows it.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    const field = (number: number): number => Number(fields[number - 3]);
    return { parent: field(4), ticks: field(14) + field(15), ticksOfEnded: field(16) + field(17) };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ESRCH') return undefined; // it has ended meanwhile
    throw error;
  }
}

/** Seconds of CPU that `pid` and everything below it have used so far. */
export function cpuSeconds(pid: number): number {
  const stats = new Map<number, Stat>();
  for (const name of readdirSync('/proc')) {
    const stat = /^\d+$/.test(name) ? readStat(Number(name)) : undefined;
    if (stat !== undefined) stats.set(Number(name), stat);
  }
  let ticks = 0;
  const below = [pid];
  for (let next = below.pop(); next !== undefined; next = below.pop()) {
    const stat = stats.get(next);
    if (stat !== undefined) ticks += stat.ticks + stat.ticksOfEnded;
    for (const [child, { parent }] of stats) if (parent === next) below.push(child);
  }
  return ticks / ticksPerSecond;
}
