/** Turns conversations into tests, with a second session that must not notice any of them. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { RawClient } from '../support/raw-client.ts';
import { transcript } from '../support/transcript.ts';
import { compareServers } from './contest.ts';
import { type Conversation, converse } from './conversation.ts';

/** Sections of a conversation follow its ReadyForQuery messages. */
const stepOf = (section: number) => (section === 0 ? 'the start-up' : `after ReadyForQuery number ${section}`);

export function runConversations(topic: string, conversations: readonly Conversation[]): void {
  describe(`protocol battery: ${topic}`, () => {
    const contest = compareServers(topic, conversations, converse);
    let bystander: RawClient | undefined;

    /** What the second session is answered, as lines. */
    async function ask(sql: string): Promise<string[]> {
      assert.ok(bystander, 'the second session is open');
      return transcript(await bystander.query(sql), bystander.isClosed).flat();
    }

    before(async () => {
      bystander = await RawClient.start(contest.target);
      const answer = await ask('BEGIN; CREATE TABLE watched (v int); CREATE TEMP TABLE own (v int)');
      assert.equal(answer.at(-1), 'ReadyForQuery T');
    });
    after(() => bystander?.destroy());

    for (const conversation of conversations) {
      it(`answers ${conversation.name} as PostgreSQL does`, async () => {
        const expected = contest.expected(conversation).flat();
        assert.ok(expected.includes('(closed)'), 'the conversation lasts to the end of the connection');
        contest.assertEqual(conversation, await converse(conversation, contest.target), stepOf);
      });
      it(`disturbs no other session with ${conversation.name}`, async () => {
        const answer = await ask('INSERT INTO watched VALUES (1); INSERT INTO own VALUES (1)');
        const tags = ['CommandComplete INSERT 0 1', 'CommandComplete INSERT 0 1', 'ReadyForQuery T'];
        assert.deepEqual(answer, tags);
      });
    }

    it('lets a session that was there all the while commit its work', async () => {
      assert.deepEqual(await ask('COMMIT'), ['CommandComplete COMMIT', 'ReadyForQuery I']);
      const [, row] = await ask('SELECT (SELECT count(*) FROM watched), (SELECT count(*) FROM own)');
      assert.equal(row, `DataRow "${conversations.length}" | "${conversations.length}"`);
    });
    contest.conclude();
  });
}
