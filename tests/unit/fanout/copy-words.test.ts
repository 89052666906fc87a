/** Words of time in the data of a COPY. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { CopyWords } from '../../../src/fanout/copy-words.ts';

function message(data: Buffer): Buffer {
  const header = Buffer.alloc(5);
  header.write('d');
  header.writeInt32BE(data.length + 4, 1);
  return Buffer.concat([header, data]);
}

/** Cut into messages at `messages` and into chunks at `chunks`: numbers of bytes, over and over again. */
function found(text: string, messages: readonly number[] = [1e6], chunks: readonly number[] = [1e6]): string {
  const watch = new CopyWords('the usual ones');
  const bytes = Buffer.concat(cut(Buffer.from(text), messages).map(message));
  for (const chunk of cut(bytes, chunks)) watch.feed(chunk);
  return watch.found;
}

function cut(bytes: Buffer, sizes: readonly number[]): Buffer[] {
  const parts: Buffer[] = [];
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const size = sizes[turn % sizes.length] ?? 1;
    parts.push(bytes.subarray(at, at + size));
    at += size;
  }
  return parts;
}

describe('a word of time', () => {
  for (const text of [
    '1\tnow\n',
    'now',
    'TODAY\t1',
    '1,"Tomorrow 10:00"',
    'yesterday',
    'I know',
    String.raw`n\157w`,
    String.raw`\x6eow`,
    String.raw`n\ow`,
    String.raw`{n\\ow}`,
    '3,n"o"w',
    '4,to~day~',
    'nonow',
  ]) {
    test(`is found in ${JSON.stringify(text)}`, () => assert.equal(found(text), 'a word'));
  }
  for (const text of [
    '1\t2026-01-01\tno w\n',
    'no,w',
    'nofw',
    'toda\ny',
    String.raw`a\tb\\N\N`,
    'infinity epoch',
    '',
  ]) {
    test(`is not found in ${JSON.stringify(text)}`, () => assert.equal(found(text), 'nothing'));
  }

  test('is found wherever messages and chunks break it apart', () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 5 });
    const noise = fc.stringMatching(/^[a-m0-9\t\n]{0,30}$/);
    const word = fc.constantFrom('now', 'NOW', 'today', 'Tomorrow', 'yesterday');
    fc.assert(
      fc.property(noise, word, noise, sizes, sizes, (before, one, behind, messages, chunks) => {
        assert.equal(found(before + one + behind, messages, chunks), 'a word');
        assert.equal(found(before + behind, messages, chunks), 'nothing');
      }),
    );
  });
});
