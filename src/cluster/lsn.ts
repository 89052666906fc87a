/** Positions in the write-ahead log: `X/Y`, two hexadecimal halves of a byte count (PostgreSQL, "pg_lsn Type"). */

export type Lsn = bigint;

export function parseLsn(text: string): Lsn {
  const [high = '0', low = '0'] = text.split('/');
  return (BigInt(`0x${high}`) << 32n) | BigInt(`0x${low}`);
}

export function formatLsn(lsn: Lsn): string {
  return `${(lsn >> 32n).toString(16).toUpperCase()}/${(lsn & 0xffff_ffffn).toString(16).toUpperCase()}`;
}

/** XLOG_BLCKSZ of every build in common use, and the sizes of a page's short and long header (xlog_internal.h). */
const PAGE_BYTES = 8192n;
const SHORT_HEADER_BYTES = 24n;
const LONG_HEADER_BYTES = 40n;

/**
 * The last position that a standby can be seen to have replayed when everything before `insert` has been. The insert
 * position may stand just behind a page header that nothing has been written after; replay then ends before the page.
 */
export function reachable(insert: Lsn, segmentBytes: bigint): Lsn {
  const inSegment = insert % segmentBytes;
  if (inSegment === LONG_HEADER_BYTES) return insert - LONG_HEADER_BYTES;
  if (inSegment > PAGE_BYTES && insert % PAGE_BYTES === SHORT_HEADER_BYTES) return insert - SHORT_HEADER_BYTES;
  return insert;
}
