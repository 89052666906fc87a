/**
 * The two servers that the protocol battery compares: a bare PostgreSQL and the subject. This is the only place
 * that knows what the subject is.
 *
 * `PPROX_TEST_SUBJECT=bare` compares PostgreSQL with itself, which proves the battery and not pprox.
 * `PPROX_TEST_MAJOR` is the servers' major version.
 */
import type { Major } from '../../src/embedded/binaries.ts';
import { type Cluster, startCluster } from '../../src/embedded/cluster.ts';
import type { Server } from '../../src/embedded/server.ts';
import { sql } from './cluster.ts';
import type { Address } from './raw-client.ts';

/** pprox joins here: `openArena` then starts it with `startProxy`, in front of two writers and a reader. */
export const subjectKind: 'bare' | 'pprox' = 'bare';

export interface Arena {
  readonly kind: 'bare' | 'pprox';
  readonly user: string;
  /** The lead, alone. */
  readonly bare: Address;
  readonly subject: Address;
  /** The servers behind the subject that must hold the same data at the end. */
  readonly writers: readonly Server[];
  /** Makes an empty database of this name for the bare server, in place of an older one. */
  prepareBare(database: string): Promise<void>;
  /** The same for the subject, in place of the bare server's: that one is the lead as well. */
  prepareSubject(database: string): Promise<void>;
  stop(): Promise<void>;
}

const majors: readonly Major[] = [14, 15, 18];

function chosenMajor(): Major | undefined {
  const text = process.env['PPROX_TEST_MAJOR'];
  const major = majors.find((known) => String(known) === text);
  if (text !== undefined && major === undefined) throw new Error(`PPROX_TEST_MAJOR is one of ${majors.join(', ')}`);
  return major;
}

async function freshDatabase(server: Server, database: string): Promise<void> {
  await sql(server, `DROP DATABASE IF EXISTS "${database}" WITH (FORCE)`);
  await sql(server, `CREATE DATABASE "${database}" TEMPLATE template0`);
}

function first(cluster: Cluster): Server {
  const [lead] = cluster.writers;
  if (lead === undefined) throw new Error('a cluster without a writer');
  return lead;
}

function addressOf(server: Server): Address {
  return { host: server.host, port: server.port };
}

async function bareArena(): Promise<Arena> {
  const cluster = await startCluster({ writers: 1, reader: false, durability: 'none', major: chosenMajor() });
  const lead = first(cluster);
  return {
    kind: 'bare',
    user: 'postgres',
    bare: addressOf(lead),
    subject: addressOf(lead),
    writers: [lead],
    prepareBare: (database) => freshDatabase(lead, database),
    prepareSubject: (database) => freshDatabase(lead, database),
    stop: () => cluster.stop('immediate'),
  };
}

export function openArena(): Promise<Arena> {
  return bareArena();
}
