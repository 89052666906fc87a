/**
 * Names of transactions that are committed in two phases.
 *
 *   pprox_7434012345678901234_16384_0b2f…-…_1
 *         │                   │     │       └ the follower, so that two on one server have names of their own
 *         │                   │     └ the transaction's id, a UUID: who it is in the table of decisions
 *         │                   └ the lead's database (pg_database.oid): where that table is
 *         └ the lead's system identifier: whose decision counts
 *
 * So nobody takes a transaction of another cluster, of another database or of another program for its own. An id is never
 * used twice: half of it is random for each process, half is counted. One bit says whether the transaction changes definitions.
 */
import { randomBytes } from 'node:crypto';

/** Where transactions of ours are decided. */
export interface Home {
  readonly systemIdentifier: string;
  readonly databaseOid: string;
}

export interface Gid {
  readonly home: Home;
  /** A UUID in its canonical form. */
  readonly id: string;
  readonly follower: number;
}

const FORM = /^pprox_(\d{1,20})_(\d{1,10})_([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})_(\d{1,4})$/;

/** PREPARE TRANSACTION takes fewer than 200 bytes; this is at most 80. */
export function formatGid({ home, id, follower }: Gid): string {
  return `pprox_${home.systemIdentifier}_${home.databaseOid}_${id}_${follower}`;
}

/** Undefined: not one of ours. */
export function parseGid(text: string): Gid | undefined {
  const [, systemIdentifier, databaseOid, id, follower] = FORM.exec(text) ?? [];
  if (systemIdentifier === undefined || databaseOid === undefined || id === undefined) return undefined;
  return { home: { systemIdentifier, databaseOid }, id, follower: Number(follower) };
}

/** Ids of one process: UUIDs of version 8 (RFC 9562), 60 random bits and 64 counted ones, in the order of their making. */
export class TransactionIds {
  readonly #process: string;
  #count = 0n;

  constructor(random: (bytes: number) => Buffer = randomBytes) {
    const bytes = random(8);
    bytes[6] = (bytes.readUInt8(6) & 0x0f) | 0x80;
    const hex = bytes.toString('hex');
    this.#process = `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12)}`;
  }

  /** Of a transaction that changes `what`. */
  next(what: 'rows' | 'definitions' = 'rows'): string {
    const kind = what === 'definitions' ? VARIANT | DEFINITIONS : VARIANT;
    const count = (kind | this.#count++).toString(16).padStart(16, '0');
    return `${this.#process}-${count.slice(0, 4)}-${count.slice(4)}`;
  }

  /** Whether this process made it. */
  owns(id: string): boolean {
    return id.startsWith(this.#process);
  }
}

/** The two highest bits of a UUID's second half. */
const VARIANT = 0x8000_0000_0000_0000n;
/** The next one: of transactions that change definitions. */
const DEFINITIONS = 0x2000_0000_0000_0000n;

const OF_DEFINITIONS = /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[ab]/;

/** Whether a transaction with this id changes definitions, whichever process has made it. */
export function changesDefinitions(id: string): boolean {
  return OF_DEFINITIONS.test(id);
}
