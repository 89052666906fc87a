/**
 * Who runs the cluster of a data folder, and which servers it started: `owner.<n>.json` in that folder.
 *
 * A claim takes the number after the highest one it saw, and is made by link(2), so that one of several wins and the file
 * is never seen half written. A claimant that then sees a higher number (its view was old) withdraws.
 */
import { randomBytes } from 'node:crypto';
import { linkSync, readdirSync, readFileSync, renameSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { assert } from '../lib/assert.ts';
import { EmbeddedFailure, systemCode } from './failure.ts';
import { fateOf, identify, isAlive, type ProcessIdentity } from './process-identity.ts';

/** A server as recorded: enough to find it after its owner was killed, and to stop nothing else. */
export interface RecordedServer {
  readonly name: string;
  readonly process: ProcessIdentity;
}

interface Owner {
  readonly owner: ProcessIdentity;
  readonly servers: readonly RecordedServer[];
}

export interface Ownership {
  /** Servers of a run that was killed, still alive perhaps. */
  readonly leftovers: readonly RecordedServer[];
  /** Replaces what the file says about running servers; on disk when it returns. */
  record(servers: readonly RecordedServer[]): void;
  /** Gives the folder up; the servers have to be stopped before. */
  release(): void;
}

/**
 * Throws `EmbeddedFailure` while another process runs this folder's cluster. An owner of which nothing is known counts as
 * dead: far more often it is a container that was replaced than one that shares the folder.
 */
export function claim(directory: string): Ownership {
  const self = identify(process.pid);
  assert(self !== undefined, 'this process exists');
  for (;;) {
    const seen = generations(directory);
    const earlier = seen.map((generation) => ({ generation, content: read(directory, generation) }));
    for (const { content } of earlier) if (content !== undefined && isAlive(content.owner)) refuse(directory, content);
    const mine = (seen.at(-1) ?? 0) + 1;
    const leftovers = earlier.flatMap(({ content }) => content?.servers ?? []);
    // The leftovers stay on record until they are stopped: this process may be killed before that.
    if (!create(directory, mine, { owner: self, servers: leftovers })) continue;
    if (generations(directory).some((generation) => generation > mine)) {
      rmSync(fileOf(directory, mine), { force: true });
      continue;
    }
    for (const { generation } of earlier) rmSync(fileOf(directory, generation), { force: true });
    return {
      leftovers,
      record: (servers) => replace(directory, mine, { owner: self, servers }),
      release: () => rmSync(fileOf(directory, mine), { force: true }),
    };
  }
}

/** What is known of the process that claimed the folder; `unclaimed` where no claim was ever made (or all were released). */
export function ownerOf(directory: string): 'alive' | 'dead' | 'unknown' | 'unclaimed' {
  const owners = generations(directory).map((generation) => read(directory, generation));
  if (owners.length === 0) return 'unclaimed';
  const fates = owners.map((content) => (content === undefined ? 'dead' : fateOf(content.owner)));
  return fates.find((fate) => fate === 'alive') ?? fates.find((fate) => fate === 'unknown') ?? 'dead';
}

export function isOwnershipFile(entry: string): boolean {
  return /^owner\.(\d+|new-[0-9a-f]+)\.json$/.test(entry);
}

function refuse(directory: string, content: Owner): never {
  throw new EmbeddedFailure(
    `A cluster already runs in ${directory} (process ${content.owner.pid}). Stop that one first, or name another folder.`,
  );
}

function fileOf(directory: string, generation: number): string {
  return join(directory, `owner.${generation}.json`);
}

/** Ascending. */
function generations(directory: string): number[] {
  return readdirSync(directory)
    .map((entry) => /^owner\.(\d+)\.json$/.exec(entry)?.[1])
    .filter((digits) => digits !== undefined)
    .map(Number)
    .toSorted((a, b) => a - b);
}

/** Undefined when it was removed since, or is not one of ours. */
function read(directory: string, generation: number): Owner | undefined {
  let text: string;
  try {
    text = readFileSync(fileOf(directory, generation), 'utf8');
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  }
  const content: unknown = JSON.parse(text);
  return isOwner(content) ? content : undefined;
}

function isOwner(value: unknown): value is Owner {
  if (typeof value !== 'object' || value === null || !('owner' in value) || !('servers' in value)) return false;
  return isIdentity(value.owner) && Array.isArray(value.servers) && value.servers.every(isRecordedServer);
}

function isRecordedServer(value: unknown): value is RecordedServer {
  return typeof value === 'object' && value !== null && 'process' in value && isIdentity(value.process);
}

function isIdentity(value: unknown): value is ProcessIdentity {
  return typeof value === 'object' && value !== null && 'pid' in value && typeof value.pid === 'number';
}

/** False when that number is taken. */
function create(directory: string, generation: number, content: Owner): boolean {
  const draft = writeDraft(directory, content);
  try {
    linkSync(draft, fileOf(directory, generation));
    return true;
  } catch (error) {
    if (systemCode(error) === 'EEXIST') return false;
    throw error;
  } finally {
    unlinkSync(draft);
  }
}

function replace(directory: string, generation: number, content: Owner): void {
  try {
    renameSync(writeDraft(directory, content), fileOf(directory, generation));
  } catch (error) {
    // Somebody removed the folder: then no later run can find anything in it either.
    if (systemCode(error) !== 'ENOENT') throw error;
  }
}

function writeDraft(directory: string, content: Owner): string {
  const draft = join(directory, `owner.new-${randomBytes(6).toString('hex')}.json`);
  writeFileSync(draft, JSON.stringify(content, undefined, 2), { mode: 0o600 });
  return draft;
}
