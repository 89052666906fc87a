/** What the tests of writing statements have in common: their servers, and what holds at the end of each file. */
import { test } from 'node:test';
import { sql, type TestCluster } from '../support/cluster.ts';
import { type Scene, startScene, until } from './scene.ts';

/** Two writers, no reader: whatever is read is read on the lead. */
export function writersOnly(): Promise<Scene> {
  return startScene({ followerLockTimeoutMs: 300, followerTimeoutMs: 20_000 }, { reader: false });
}

/** The last test of the file. */
export function concludeWrites({ writers }: TestCluster): void {
  test('no transaction is left open anywhere', async () => {
    await until('all are idle', async () => {
      const open = await Promise.all(
        writers.map((writer) =>
          sql(writer, "SELECT query FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'"),
        ),
      );
      return open.flat().length === 0;
    });
  });
}
