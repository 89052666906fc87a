/** Keys that no other transaction of a case uses. */

/** `index`: below 10, where a transaction needs several. */
export function fresh(client: number, round: number, index = 0): number {
  return 1000 + (client * 10_000 + round) * 10 + index;
}
