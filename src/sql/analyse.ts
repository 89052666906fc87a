/** Query text to statements: the entry of `sql/`. */

import { isAscii, isUtf8 } from 'node:buffer';
import { classify } from './classify.ts';
import type { CutTable } from './cut-table.ts';
import { Normaliser } from './normaliser.ts';
import { loadParser, parse, type Parsed } from './parser.ts';
import { byteOf } from './bytes.ts';
import { ShapeCache } from './shape-cache.ts';
import type { Analysis, Lexis, Nondeterminism, Statement, Unreadable } from './statement.ts';

export { loadParser };

export interface AnalyserOptions {
  /** Shapes kept; 0 keeps none that matter. */
  readonly cacheSize: number;
  /** Longest text that is parsed, after constants are taken out: parsing holds the event loop, 1 to 2 ms a KiB. */
  readonly sizeLimitBytes: number;
  /** Sum of the normalised texts kept; what is kept with each is of the same order. Default 16 MiB. */
  readonly cacheBytes?: number;
}

/** A statement whose offsets are those of the normalised text, and the semicolons around it by their number. */
interface ShapeStatement {
  readonly statement: Statement;
  /** Index of the semicolon before it and of the one behind it; -1: there is none. */
  readonly after: number;
  readonly before: number;
}

type Semicolons = Normaliser['semicolons'];

const unreadable: Readonly<Record<Unreadable, Analysis>> = {
  syntax: { kind: 'unreadable', why: 'syntax' },
  nesting: { kind: 'unreadable', why: 'nesting' },
  size: { kind: 'unreadable', why: 'size' },
  lexis: { kind: 'unreadable', why: 'lexis' },
};

/** Not reentrant, and needs `loadParser()` to have ended: all of it is synchronous. One for a process is enough. */
export class Analyser {
  readonly #cache: ShapeCache<readonly ShapeStatement[]>;
  readonly #normaliser: Normaliser;
  readonly #sizeLimitBytes: number;

  constructor(options: AnalyserOptions) {
    this.#sizeLimitBytes = options.sizeLimitBytes;
    this.#normaliser = new Normaliser(options.sizeLimitBytes);
    this.#cache = new ShapeCache({ count: options.cacheSize, bytes: options.cacheBytes ?? 16 * 1024 * 1024 });
  }

  /** Shapes kept now, and the bytes of their keys. */
  get cached(): { readonly count: number; readonly bytes: number } {
    return { count: this.#cache.size, bytes: this.#cache.bytes };
  }

  /** `text`: the query string without its terminating zero; no reference to it is kept. */
  analyse(text: Buffer, lexis: Lexis): Analysis {
    if (!isReadable(text, lexis)) return unreadable.lexis;
    const normaliser = this.#normaliser;
    const outcome = normaliser.normalise(text);
    if (outcome !== 'done') return outcome === 'size' ? unreadable.size : unreadable.syntax;
    const { hint } = normaliser;
    if (normaliser.tokens === 0) return { kind: 'statements', statements: [], hint };
    const key = normaliser.key;
    const cached = this.#cache.get(key);
    const shapes = cached ?? shapesOf(parse(normaliser.bytes), normaliser.bytes, normaliser.semicolons, 'normalised');
    if (typeof shapes === 'string') return shapes === 'syntax' ? this.#asWritten(text) : unreadable[shapes];
    if (cached === undefined) this.#cache.set(key, shapes);
    return { kind: 'statements', statements: place(shapes, text.length, normaliser.semicolons, normaliser.cuts), hint };
  }

  /** The normalised text was refused: whether rightly, the text itself must say. Such texts are not kept. */
  #asWritten(text: Buffer): Analysis {
    if (text.length > this.#sizeLimitBytes) return unreadable.syntax;
    const { semicolons, hint } = this.#normaliser;
    const shapes = shapesOf(parse(text), text, semicolons, 'original');
    if (typeof shapes === 'string') return unreadable[shapes];
    return { kind: 'statements', statements: place(shapes, text.length, semicolons, undefined), hint };
  }
}

/** Whether the bytes mean to the server what they mean to the grammar. */
function isReadable(text: Buffer, lexis: Lexis): boolean {
  const unicode = lexis.encoding === 'UTF8' || lexis.encoding === 'SQL_ASCII';
  if (unicode ? !isUtf8(text) : !isAscii(text)) return false;
  return lexis.standardStrings === 'on' || !text.includes(byteOf.backslash);
}

function shapesOf(
  parsed: Parsed,
  text: Buffer,
  semicolons: Semicolons,
  offsets: 'normalised' | 'original',
): readonly ShapeStatement[] | 'syntax' | 'nesting' {
  if (parsed.kind !== 'tree') return parsed.kind === 'refused' ? 'syntax' : 'nesting';
  try {
    return parsed.statements.map(({ stmt, stmt_location: start = 0, stmt_len: length = 0 }) => {
      const after = semicolons.findLastIndex((one) => one[offsets] < start);
      const before = length === 0 ? -1 : semicolons.findIndex((one) => one[offsets] >= start + length);
      return { statement: classify(stmt, text), after, before };
    });
  } catch (error) {
    // A tree that the parser could write out, but that is too deep to be walked.
    if (error instanceof RangeError) return 'nesting';
    throw error;
  }
}

/** Statements of one text: offsets translated to it. `cuts` undefined: they are its own already. */
function place(
  shapes: readonly ShapeStatement[],
  length: number,
  semicolons: Semicolons,
  cuts: CutTable | undefined,
): readonly Statement[] {
  return shapes.map(({ statement, after, before }) => {
    const start = after < 0 ? 0 : (semicolons[after]?.original ?? 0) + 1;
    const end = before < 0 ? length : (semicolons[before]?.original ?? length);
    const { nondeterminism } = statement;
    return {
      ...statement,
      span: { start, end },
      nondeterminism:
        cuts === undefined || nondeterminism.length === 0 ? nondeterminism : placeSpans(nondeterminism, cuts),
    };
  });
}

function placeSpans(parts: readonly Nondeterminism[], cuts: CutTable): readonly Nondeterminism[] {
  return parts.map((part) => {
    if (part.span === undefined) return part;
    // The last byte of a call is a copied one, its end behind it.
    return {
      ...part,
      span: { start: cuts.originalOf(part.span.start), end: cuts.originalOf(part.span.end - 1) + 1 },
    };
  });
}
