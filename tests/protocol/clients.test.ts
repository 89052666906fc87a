/** How many clients there may be, and what they are told: PostgreSQL's max_connections has no counterpart to compare with. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { RawClient, type Target } from '../support/raw-client.ts';
import { type Arena, openArena, subjectKind } from '../support/targets.ts';
import { errorCodes, transcript } from '../support/transcript.ts';

const maxClients = 4;

/** A place is free a moment after its client has seen the end. */
async function servedAtLast(connect: () => Promise<RawClient>): Promise<RawClient> {
  for (let attempt = 1; attempt < 100; attempt++) {
    const client = await connect();
    if (client.readies === 1) return client;
    client.destroy();
    await sleep(20);
  }
  throw new Error('no client was served any more');
}

if (subjectKind === 'pprox') {
  describe('with a limit on clients', () => {
    const database = 'battery_clients';
    let arena: Arena | undefined;
    let target: Target | undefined;

    async function client(): Promise<RawClient> {
      assert.ok(target, 'the servers run');
      return RawClient.start(target);
    }
    before(async () => {
      arena = await openArena({ maxClients });
      await arena.prepareSubject(database);
      target = { ...arena.subject, user: arena.user, database };
    });
    after(async () => arena?.stop());

    it('serves any number of them one after the other', async () => {
      for (let number = 1; number <= 10 * maxClients; number++) {
        const one = await client();
        assert.equal(one.readies, 1, `client ${number} is served`);
        one.end();
        await one.waitClosed();
      }
    });

    it('tells one too many so, and serves the next once there is room', async () => {
      const all = await Promise.all(Array.from({ length: maxClients }, () => client()));
      const refused = await client();
      await refused.waitClosed();
      assert.deepEqual(transcript(refused.messages, refused.isClosed).flatMap(errorCodes), ['53300']);
      const [first] = all;
      assert.ok(first);
      first.end();
      await first.waitClosed();
      const next = await servedAtLast(client);
      for (const one of [...all, next]) one.destroy();
    });
  });
}
