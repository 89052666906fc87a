/** A scenario that prints what it sees, run on the lead alone and through the proxy. */
import { assertSameText } from './psql.ts';
import { type Address, assertWritersEqual, createDatabases, type Stage } from './stage.ts';

export type Scenario = (target: Address, database: string) => Promise<string>;

/** In databases of its own: what it sees must be the same, and so must the writers be. Returns what it saw. */
export async function compareSeen(stage: Stage, name: string, scenario: Scenario): Promise<string> {
  const [direct, through] = [`${name}_direct`, `${name}_through`];
  await createDatabases(stage, direct, through);
  const expected = await scenario(stage.lead, direct);
  const actual = await scenario(stage.proxy, through);
  assertSameText(actual, expected, name);
  await assertWritersEqual(stage, through);
  return actual;
}

export function dsnOf({ host, port }: Address, database: string): string {
  return `postgresql://postgres@${host}:${port}/${database}`;
}
