/** The extended query protocol and function calls: refused, up to Sync, without harm to the session. Nothing to compare. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import {
  bind,
  close,
  describe as describeMessage,
  execute,
  flush,
  functionCall,
  parse,
  query,
  sync,
} from '../support/frontend-messages.ts';
import { RawClient, type Target } from '../support/raw-client.ts';
import { type Arena, openArena, subjectKind } from '../support/targets.ts';
import { errorCodes, transcript } from '../support/transcript.ts';

const int4pl = 177;

/** Message types and, for errors, their SQLSTATE. */
async function answers(client: RawClient, readies: number, ...parts: readonly Buffer[]): Promise<string[]> {
  const from = client.messages.length;
  const already = client.readies;
  client.send(...parts);
  await client.waitReady(already + readies);
  const lines = transcript(client.messages.slice(from), client.isClosed).flat();
  return lines.map((line) => (line.startsWith('ErrorResponse') ? `error ${errorCodes([line]).join('')}` : line));
}

const one = ['CommandComplete SELECT 1'];

if (subjectKind === 'pprox') {
  describe('the extended query protocol', () => {
    const database = 'battery_extended';
    let arena: Arena | undefined;
    let target: Target | undefined;

    async function session(): Promise<RawClient> {
      assert.ok(target, 'the servers run');
      return RawClient.start(target);
    }
    before(async () => {
      arena = await openArena();
      await arena.prepareSubject(database);
      target = { ...arena.subject, user: arena.user, database };
    });
    after(async () => arena?.stop());

    it('is refused once up to Sync, whatever comes in between', async () => {
      const client = await session();
      const whole = [parse('', 'SELECT 1'), bind('', ''), describeMessage('P', ''), execute(''), close('P', '')];
      assert.deepEqual(await answers(client, 1, ...whole, flush(), sync()), ['error 0A000', 'ReadyForQuery I']);
      assert.deepEqual(await answers(client, 2, ...whole, sync(), ...whole, sync()), [
        'error 0A000',
        'ReadyForQuery I',
        'error 0A000',
        'ReadyForQuery I',
      ]);
      client.destroy();
    });

    for (const [name, message] of Object.entries({
      Parse: parse('s', 'SELECT 1'),
      Bind: bind('p', 's'),
      Describe: describeMessage('S', 's'),
      Execute: execute('p'),
      Close: close('S', 's'),
    })) {
      it(`is refused from ${name} on, with a Query before Sync left out`, async () => {
        const client = await session();
        assert.deepEqual(await answers(client, 1, message, query('SELECT 1'), sync()), [
          'error 0A000',
          'ReadyForQuery I',
        ]);
        const [, , ...rest] = await answers(client, 1, query('SELECT 1'));
        assert.deepEqual(rest, [...one, 'ReadyForQuery I']);
        client.destroy();
      });
    }

    it('fails the block that it is used in, and nothing of the block stands', async () => {
      const client = await session();
      await client.query('CREATE TABLE touched (v int)');
      await client.query('BEGIN');
      await client.query('INSERT INTO touched VALUES (1)');
      assert.deepEqual(await answers(client, 1, parse('', 'SELECT 1'), sync()), ['error 0A000', 'ReadyForQuery E']);
      assert.deepEqual(await answers(client, 1, query('SELECT 1')), ['error 25P02', 'ReadyForQuery E']);
      assert.deepEqual(await answers(client, 1, query('COMMIT')), ['CommandComplete ROLLBACK', 'ReadyForQuery I']);
      const [, ...count] = await answers(client, 1, query('SELECT count(*) FROM touched'));
      assert.deepEqual(count, ['DataRow "0"', ...one, 'ReadyForQuery I']);
      client.destroy();
    });

    it('is refused as a function call too, which needs no Sync', async () => {
      const client = await session();
      assert.deepEqual(await answers(client, 1, functionCall(int4pl, ['1', '2'])), ['error 0A000', 'ReadyForQuery I']);
      const [, ...rest] = await answers(client, 1, query('SELECT 1'));
      assert.deepEqual(rest, ['DataRow "1"', ...one, 'ReadyForQuery I']);
      client.destroy();
    });

    it('says which protocol to use instead', async () => {
      const client = await session();
      client.send(parse('', 'SELECT 1'), sync());
      await client.waitReady(2);
      const error = client.messages.find((message) => message.type === 'ErrorResponse');
      assert.ok(error?.type === 'ErrorResponse');
      assert.match(new Map(error.fields).get('H') ?? '', /simple query protocol/);
      client.destroy();
    });
  });
}
