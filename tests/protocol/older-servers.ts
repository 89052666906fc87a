/**
 * What servers older than the newest answer in words of their own, where pprox in front of them answers as the newest does:
 * it speaks protocol 3.2 whatever its servers speak, and to them a pipeline is a block. For `PPROX_TEST_MAJOR`.
 */
import { testMajor } from '../support/major.ts';
import type { Section } from '../support/transcript.ts';

const field = (line: string, letter: string): string | undefined =>
  new RegExp(`\\n {4}${letter}="([^"]*)"`).exec(line)?.[1];

/** Older servers know 3.0 alone. */
const NEGOTIATED = 'NegotiateProtocolVersion 196608';
const NEGOTIABLE = 'NegotiateProtocolVersion 196610';
const SUPPORTED = 'server supports 3.0 to 3.2';
const PIPELINE = ' cannot be executed within a pipeline';

/** The older server's section as the newest would have it; only where the subject has it so. */
export function asNewest(expected: Section, actual: Section): Section {
  if (testMajor === undefined || testMajor >= 18) return expected;
  const [first = ''] = expected;
  const isNegotiated = first.startsWith(NEGOTIATED);
  const has = (type: string): boolean => actual.some((line) => line.startsWith(type));
  let dropped = 0;
  const kept = expected.filter((line, index) => {
    // SET LOCAL has an effect in a pipeline, wherever it stands; older servers warn that it has none.
    if (line.startsWith('NoticeResponse') && field(line, 'C') === '25P01') {
      const told = actual[index - dropped]?.startsWith('NoticeResponse') === true;
      if (!told) dropped++;
      return told;
    }
    // A client of 3.2 gets what it has asked for.
    return line !== `${NEGOTIATED} []` || has('NegotiateProtocolVersion');
  });
  return kept.map((line, index) => {
    const answer = actual[index] ?? '';
    if (answer.includes(SUPPORTED)) return line.replace('server supports 3.0 to 3.0', SUPPORTED);
    if (answer.startsWith(NEGOTIABLE)) return line.replace(NEGOTIATED, NEGOTIABLE);
    // A key of 3.2 is as long as its giver likes.
    if (isNegotiated && line.startsWith('BackendKeyData')) return answer;
    // Another branch of the same function; the newest has this one alone.
    if (field(line, 'M')?.endsWith(PIPELINE) === true && field(answer, 'C') === '25001') {
      return line
        .replace(PIPELINE, ' cannot run inside a transaction block')
        .replace(/L="\d+"/, `L="${field(answer, 'L') ?? ''}"`);
    }
    return line;
  });
}
