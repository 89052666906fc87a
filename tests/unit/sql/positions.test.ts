import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { positionsThrough, rewrite, samePositions, shiftedPositions } from '../../../src/sql/positions.ts';

function replaced(text: string, found: RegExp, by: string) {
  const replacements = [...text.matchAll(found)].map(({ index, 0: { length } }) => ({
    span: {
      start: Buffer.byteLength(text.slice(0, index)),
      end: Buffer.byteLength(text.slice(0, index + length)),
    },
    by: Buffer.from(by),
  }));
  const { text: sent, positions } = rewrite(Buffer.from(text), replacements);
  /** Where `part` is told to be that stands at its first place in the sent text. */
  const told = (part: string): number => positions(Array.from(sent.toString().split(part)[0] ?? '').length + 1);
  return { sent: sent.toString(), positions, told };
}

describe('positions in a rewritten text', () => {
  it('in front of a replacement are the same', () => {
    const { told } = replaced('a f() b', /f\(\)/g, 'longer');
    assert.equal(told('a'), 1);
  });

  it('inside a replacement are where it begins', () => {
    const { sent, positions } = replaced('a f() b', /f\(\)/g, 'longer');
    assert.equal(sent, 'a longer b');
    assert.deepEqual([3, 4, 8].map(positions), [3, 3, 3]);
    assert.equal(positions(9), 6);
  });

  it('behind it move by what it has changed, whether longer or shorter', () => {
    assert.equal(replaced('a f() b', /f\(\)/g, 'longer').told('b'), 7);
    assert.equal(replaced('a f() b', /f\(\)/g, 'x').told('b'), 7);
  });

  it('count characters and not bytes', () => {
    const { told } = replaced("'ü€𝄞' f('ä') 'ß' b", /f\('ä'\)/g, '€€');
    assert.equal(told('b'), 18);
  });

  it('know of several replacements, side by side as well', () => {
    const { told, positions } = replaced('f()f() b f() c', /f\(\)/g, 'longer');
    assert.equal(positions(7), 4);
    assert.equal(told('b'), 8);
    assert.equal(told('c'), 14);
  });

  it('pass through one rewriting after another', () => {
    const inner = replaced('b f() c', /f\(\)/g, 'longer').positions;
    assert.equal(positionsThrough(inner, shiftedPositions(10))(10), 17);
    assert.equal(positionsThrough(inner, samePositions), inner);
    assert.equal(positionsThrough(samePositions, inner), inner);
  });

  it('are those of the text where nothing is replaced', () => {
    assert.equal(rewrite(Buffer.from('a'), []).positions, samePositions);
    assert.equal(shiftedPositions(0), samePositions);
  });
});
