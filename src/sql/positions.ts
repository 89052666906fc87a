/**
 * Positions of errors in a text that servers are sent, as those of the client's own text. PostgreSQL counts characters from 1
 * ("Error and Notice Message Fields"). Whoever sends another text than the client's says where its parts come from.
 */
import { characters } from './bytes.ts';
import type { Span } from './statement.ts';

/** From a position in the text that is sent to the one that the client is told. */
export type Positions = (sent: number) => number;

/** The text is the client's. */
export const samePositions: Positions = (sent) => sent;

/** The text begins `by` characters further on in the client's; in front of it where negative. */
export function shiftedPositions(by: number): Positions {
  return by === 0 ? samePositions : (sent) => Math.max(sent + by, 1);
}

/** Of a text made from another, which is made from the client's: `outer`. */
export function positionsThrough(inner: Positions, outer: Positions): Positions {
  if (inner === samePositions) return outer;
  if (outer === samePositions) return inner;
  return (sent) => outer(inner(sent));
}

/** Bytes of a text, in UTF-8, and what stands there instead. */
export interface Replacement {
  readonly span: Span;
  readonly by: Buffer;
}

export interface Rewritten {
  readonly text: Buffer;
  readonly positions: Positions;
}

/** `text` with all of it replaced. A position inside a replacement is where that begins in `text`. */
export function rewrite(text: Buffer, replacements: readonly Replacement[]): Rewritten {
  const parts: Buffer[] = [];
  const pieces: Piece[] = [];
  let at = 0;
  let sent = 1;
  let told = 1;
  for (const { span, by } of replacements.toSorted((a, b) => a.span.start - b.span.start)) {
    parts.push(text.subarray(at, span.start), by);
    const kept = characters(text, at, span.start);
    sent += kept;
    told += kept;
    pieces.push({ sent, told, kind: 'replaced' });
    sent += characters(by, 0, by.length);
    told += characters(text, span.start, span.end);
    pieces.push({ sent, told, kind: 'kept' });
    at = span.end;
  }
  parts.push(text.subarray(at));
  return { text: Buffer.concat(parts), positions: pieces.length === 0 ? samePositions : positionsOf(pieces) };
}

/** From where on, in either text. */
interface Piece {
  readonly sent: number;
  readonly told: number;
  readonly kind: 'kept' | 'replaced';
}

function positionsOf(pieces: readonly Piece[]): Positions {
  return (sent) => {
    const piece = pieces.findLast((one) => one.sent <= sent);
    if (piece === undefined) return sent;
    return piece.kind === 'replaced' ? piece.told : piece.told + sent - piece.sent;
  };
}
