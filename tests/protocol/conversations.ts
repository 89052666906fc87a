/** Turns conversations into tests, with a second session that must not notice any of them. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { RawClient } from '../support/raw-client.ts';
import { type Arena, openArena } from '../support/targets.ts';
import { compareTranscripts, type Section, transcript } from '../support/transcript.ts';
import { type Conversation, converse } from './conversation.ts';
import { compareWriters } from './equality.ts';

export function runConversations(topic: string, conversations: readonly Conversation[]): void {
  describe(`protocol battery: ${topic}`, () => {
    const database = `battery_${topic}`;
    const expected = new Map<Conversation, Section[]>();
    let arena: Arena;
    let bystander: RawClient;

    before(async () => {
      arena = await openArena();
      await arena.prepareBare(database);
      for (const conversation of conversations) {
        expected.set(conversation, await converse(conversation, { ...arena.bare, user: arena.user, database }));
      }
      await arena.prepareSubject(database);
      bystander = await RawClient.start({ ...arena.subject, user: arena.user, database });
      await bystander.query('BEGIN; CREATE TABLE watched (v int); CREATE TEMP TABLE own (v int)');
    });
    after(async () => {
      bystander?.destroy();
      await arena?.stop();
    });

    for (const conversation of conversations) {
      it(`answers ${conversation.name} as PostgreSQL does`, async () => {
        const actual = await converse(conversation, { ...arena.subject, user: arena.user, database });
        const differences = compareTranscripts(expected.get(conversation) ?? [], actual);
        assert.ok(differences.length === 0, `\n${differences.map(({ text }) => text).join('\n')}`);
        const answer = await bystander.query('INSERT INTO watched VALUES (1); INSERT INTO own VALUES (1)');
        const tags = ['CommandComplete INSERT 0 1', 'CommandComplete INSERT 0 1', 'ReadyForQuery T'];
        assert.deepEqual(transcript(answer, bystander.isClosed).flat(), tags);
      });
    }

    it('lets a session that saw all of it commit its own work', async () => {
      await bystander.query('COMMIT');
      const answer = await bystander.query('SELECT (SELECT count(*) FROM watched), (SELECT count(*) FROM own)');
      const [, row] = transcript(answer, bystander.isClosed).flat();
      assert.equal(row, `DataRow "${conversations.length}" | "${conversations.length}"`);
    });

    it('leaves the same rows on every writer', async () => {
      assert.deepEqual(await compareWriters(arena.writers, database), []);
    });
  });
}
