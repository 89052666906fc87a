import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ReplyScript } from '../../../src/session/reply-script.ts';

const said = (text: string) => ({ kind: 'say', frame: () => Buffer.from(text) }) as const;

describe('the script of a reply', () => {
  test('says what is ours where its turn has come, and not before', () => {
    const script = new ReplyScript();
    script.add(said('first'));
    script.add({ kind: 'forward' });
    script.add({ kind: 'rows' });
    script.add(said('behind the rows'));
    script.add({ kind: 'swallow' });
    assert.deepEqual(script.sayings().map(String), ['first']);
    assert.equal(script.next()?.kind, 'forward');
    assert.deepEqual(script.sayings(), []);
    assert.equal(script.next()?.kind, 'rows');
    assert.deepEqual(script.sayings().map(String), ['behind the rows']);
    assert.equal(script.next()?.kind, 'swallow');
    assert.equal(script.next(), undefined);
  });

  test('has no answer for a message that was not sent', () => {
    const script = new ReplyScript();
    script.add(said('only ours'));
    assert.equal(script.next(), undefined);
  });

  test('asks for a frame when it is said', () => {
    const script = new ReplyScript();
    let calls = 0;
    script.add({
      kind: 'say',
      frame: () => {
        calls++;
        return Buffer.alloc(0);
      },
    });
    assert.equal(calls, 0);
    script.sayings();
    script.sayings();
    assert.equal(calls, 1);
  });

  test('tells the refused message of it, also where something of ours is still to be said in front', () => {
    const script = new ReplyScript();
    const codes: (string | undefined)[] = [];
    script.add(said('first'));
    script.add({ kind: 'forward', refused: (code) => codes.push(code) });
    script.add({ kind: 'forward', refused: () => assert.fail('nobody knows of this one') });
    script.failed('42601');
    assert.deepEqual(codes, ['42601']);
    assert.deepEqual(script.sayings().map(String), ['first'], 'it is still said in front of the error');
  });
});
