/**
 * Query text to *normalised text*: comments gone, white space squeezed, constants replaced by one of their kind.
 *
 * The normalised text is still SQL with the same parse tree but for the constants, so it is both what the parser
 * reads and the exact key of the cache. It keeps what a decision depends on: the special words of time input
 * (`'today 10:00'` becomes `'today'`), sequence names in nextval and setval, EXPLAIN's options, precisions, the
 * values of transaction settings. Equal elements of IN and ARRAY lists count once, and equal rows of VALUES
 * twice at most, so that their number makes no other key but for one row and several. Where a constant could be wrong by itself (a bad escape, `1a`) it stays as it is,
 * for the grammar to refuse.
 */

import { byteOf, continuesWord, isDigit, startsWith, tokenClass } from './bytes.ts';
import { CutTable } from './cut-table.ts';
import { namesTransactionSetting, wordMeaning, type WordMeaning } from './keywords.ts';
import {
  endOfBlockComment,
  endOfDollarString,
  endOfLine,
  endOfQuotedName,
  endOfString,
  readEscapeString,
  readNumber,
  timeWordInString,
} from './literals.ts';
import { timeWordIn, type TimeWord } from './time-word.ts';

export type Normalisation =
  | 'done'
  /** Over the limit, constants taken out. */
  | 'size'
  /** A quote or a comment never ends: PostgreSQL refuses the whole text. */
  | 'unterminated';

/** Where constants are kept, from an opening parenthesis on or to the end of the statement. */
type Keep = 'nothing' | 'group' | 'first argument' | 'statement';

const longestToken = 32;
const hintText = /^\s*pprox:\s*(reader|lead)\s*$/i;

/** One scratch for all texts: what it holds is that of the last `normalise`. */
export class Normaliser {
  readonly cuts = new CutTable();
  /** Offsets of every semicolon outside constants, comments and names, in the normalised and in the original text. */
  readonly semicolons: { readonly normalised: number; readonly original: number }[] = [];
  hint: 'reader' | 'lead' | undefined;
  /** Tokens other than semicolons: an empty query has none. */
  tokens = 0;

  readonly #limit: number;
  #out = Buffer.allocUnsafeSlow(1024);
  #length = 0;
  #text: Buffer = Buffer.alloc(0);
  /** White space was read since the last token. */
  #gap = false;
  #depth = 0;

  /** What the word just before the current token asks for. */
  #armed: WordMeaning | undefined;
  #head: WordMeaning | undefined;
  #words = 0;
  #keep: Keep = 'nothing';
  #keepDepth = 0;

  /**
   * The list whose equal neighbours are dropped. `rows`: `(…), (…)` where parentheses open at `#listDepth`;
   * `elements`: `…, …` at `#listDepth`. Off as soon as anything but constants turns up.
   */
  #list: 'off' | 'rows' | 'elements' = 'off';
  /** Whether the item before is equal to the one before it. */
  #repeated: 'no' | 'yes' = 'no';
  #listDepth = 0;
  #itemStart = 0;
  /** The item before the current one; -1: there is none. */
  #previousStart = -1;
  #previousEnd = 0;
  #previousCuts = 0;

  constructor(limitBytes: number) {
    this.#limit = limitBytes;
  }

  get length(): number {
    return this.#length;
  }

  /** The normalised text as a map key: a character for each byte. */
  get key(): string {
    return this.#out.toString('latin1', 0, this.#length);
  }

  /** The normalised text; overwritten by the next `normalise`. */
  get bytes(): Buffer {
    return this.#out.subarray(0, this.#length);
  }

  /** Reads `text`, which must be UTF-8 without a zero byte, and keeps no reference to it. */
  normalise(text: Buffer): Normalisation {
    this.cuts.clear();
    this.semicolons.length = 0;
    this.hint = undefined;
    this.tokens = 0;
    this.#length = 0;
    this.#gap = false;
    this.#depth = 0;
    this.#list = 'off';
    this.#startStatement();
    this.#text = text;
    const outcome = this.#run(text);
    this.#text = empty;
    return outcome;
  }

  #run(text: Buffer): Normalisation {
    const end = text.length;
    let at = 0;
    while (at < end) {
      if (this.#length > this.#limit) return 'size';
      const byte = text[at] ?? 0;
      const kind = tokenClass[byte];
      if (kind === startsWith.space) {
        this.#gap = true;
        at++;
        continue;
      }
      if (kind === startsWith.minus && text[at + 1] === byteOf.minus) {
        this.#gap = true;
        at = endOfLine(text, at);
        continue;
      }
      if (kind === startsWith.slash && text[at + 1] === byteOf.star) {
        const close = endOfBlockComment(text, at);
        if (close < 0) return 'unterminated';
        this.#readHint(at + 2, close - 2);
        this.#gap = true;
        at = close;
        continue;
      }
      if (kind === startsWith.semicolon) {
        this.#semicolon(at++);
        continue;
      }
      this.tokens++;
      if (kind === startsWith.word) at = this.#word(at);
      else if (kind === startsWith.digit || (kind === startsWith.dot && isDigit(text[at + 1] ?? 0))) {
        at = this.#number(at);
      } else if (kind === startsWith.quote) at = this.#string(at, at);
      else if (kind === startsWith.doubleQuote) at = this.#quotedName(at, at);
      else if (kind === startsWith.dollar) at = this.#dollar(at);
      else if (kind === startsWith.open) this.#open(at++, byte);
      else if (kind === startsWith.close) this.#close(at++, byte);
      else if (kind === startsWith.comma) this.#comma(at++);
      else if (kind === startsWith.dot && text[at + 1] === byteOf.dot) at = this.#copy(at, at + 2);
      else at = this.#copy(at, at + 1);
      if (at < 0) return 'unterminated';
    }
    return this.#length > this.#limit ? 'size' : 'done';
  }

  #startStatement(): void {
    this.#head = undefined;
    this.#words = 0;
    this.#armed = undefined;
    this.#keep = 'nothing';
    this.#list = 'off';
  }

  #readHint(start: number, end: number): void {
    if (end - start > 64) return;
    const found = hintText.exec(this.#text.toString('latin1', start, end))?.[1]?.toLowerCase();
    if (found === 'lead') this.hint = 'lead';
    else if (found === 'reader') this.hint ??= 'reader';
  }

  // ---- Emitting -------------------------------------------------------------------------------------------------

  /** Makes room for `bytes`, and writes the white space that is due before a token from offset `at`. */
  #begin(at: number, bytes: number, first: number): void {
    if (this.#length + bytes + longestToken > this.#out.length) this.#grow(bytes);
    if (this.#gap) {
      this.#gap = false;
      const last = this.#length === 0 ? byteOf.comma : this.#out[this.#length - 1];
      const glued =
        last === byteOf.open ||
        last === byteOf.comma ||
        first === byteOf.close ||
        first === byteOf.comma ||
        first === byteOf.semicolon;
      if (!glued) this.#out[this.#length++] = byteOf.space;
    }
    this.cuts.mark(this.#length, at);
  }

  /** Copies a token that is no constant and means nothing here. */
  #copy(start: number, end: number): number {
    this.#armed = undefined;
    if (this.#list === 'rows' && this.#depth === this.#listDepth) this.#list = 'off';
    this.#emit(start, end);
    return end;
  }

  #emit(start: number, end: number): void {
    const text = this.#text;
    if (this.#length + end - start > this.#limit) {
      this.#length = this.#limit + 1; // ends the run
      return;
    }
    this.#begin(start, end - start, text[start] ?? 0);
    const out = this.#out;
    let length = this.#length;
    if (end - start > 64) {
      text.copy(out, length, start, end);
      length += end - start;
    } else for (let at = start; at < end; at++) out[length++] = text[at] ?? 0;
    this.#length = length;
  }

  /** Puts in a constant for the one at `start`, apart from what came before it. */
  #place(start: number, placeholder: Uint8Array): void {
    const first = placeholder[0] ?? 0;
    this.#begin(start, placeholder.length, first);
    const last = this.#length === 0 ? byteOf.space : (this.#out[this.#length - 1] ?? 0);
    const merges = first === byteOf.quote ? last === byteOf.quote : last === byteOf.dot || continuesWord[last] === 1;
    if (merges) this.#out[this.#length++] = byteOf.space;
    for (let at = 0; at < placeholder.length; at++) this.#out[this.#length++] = placeholder[at] ?? 0;
  }

  #grow(bytes: number): void {
    const grown = Buffer.allocUnsafeSlow(Math.max(this.#out.length * 2, this.#length + bytes + longestToken));
    this.#out.copy(grown, 0, 0, this.#length);
    this.#out = grown;
  }

  // ---- Tokens ---------------------------------------------------------------------------------------------------

  #word(start: number): number {
    const text = this.#text;
    let end = start + 1;
    while (continuesWord[text[end] ?? 0] === 1) end++;
    const next = text[end] ?? 0;
    if (end - start === 1 && (next === byteOf.quote || next === byteOf.ampersand)) {
      const prefixed = this.#prefixed(start, (text[start] ?? 0) | 0x20, next);
      if (prefixed !== 0) return prefixed;
    }
    const afterCast = this.#list !== 'off' && this.#out[this.#length - 1] === byteOf.colon;
    this.#emit(start, end);
    const meaning = wordMeaning(text, start, end);
    this.#armed = meaning;
    if (this.#list !== 'off' && !afterCast && meaning !== 'constant') this.#list = 'off';
    if (this.#list === 'rows' && this.#depth === this.#listDepth) this.#list = 'off';
    this.#noteWord(meaning, start, end);
    return end;
  }

  /** `E'`, `B'`, `X'`, `U&'`, `U&"`; 0 where the word is none of these. */
  #prefixed(start: number, letter: number, next: number): number {
    const text = this.#text;
    if (next === byteOf.ampersand) {
      if (letter !== 0x75) return 0;
      if (text[start + 2] === byteOf.doubleQuote) return this.#quotedName(start, start + 2);
      if (text[start + 2] !== byteOf.quote) return 0;
      // Its value depends on a later UESCAPE: left to the parser, rare as it is.
      const end = endOfString(text, start + 2, 'doubling');
      return end < 0 ? end : this.#constant(start, end, undefined);
    }
    if (letter === 0x65) {
      const { end, opaque, word } = readEscapeString(text, start + 1);
      if (end < 0 || opaque) return end < 0 ? end : this.#constant(start, end, undefined);
      return this.#constant(start, end, word === undefined ? anyString : timeStrings[word]);
    }
    if (letter === 0x62 || letter === 0x78) {
      const end = endOfString(text, start + 1, 'plain');
      return end < 0 ? end : this.#constant(start, end, letter === 0x62 ? anyBits : anyHex);
    }
    return 0;
  }

  #noteWord(meaning: WordMeaning | undefined, start: number, end: number): void {
    if (this.#words === 0) this.#head = meaning;
    else if (this.#words === 1 && this.#head === 'create, alter or drop' && meaning === 'subscription') {
      this.#keep = 'statement';
    }
    if (this.#words === 0 && meaning === 'reindex') this.#keep = 'statement';
    if (this.#head === 'set' && namesTransactionSetting(this.#text, start, end)) this.#keep = 'statement';
    if (this.#words < 2) this.#words++;
  }

  /** `"…"` from `quote` on, and `U&` before it where `start` lies further left. */
  #quotedName(start: number, quote: number): number {
    const end = endOfQuotedName(this.#text, quote);
    if (end < 0) return end;
    this.#emit(start, end);
    this.#list = 'off';
    const meaning = wordMeaning(this.#text, quote + 1, end - 1);
    // What U&"…" spells is not read here: it may be any function.
    this.#armed = meaning === 'call by name' || start < quote ? 'call by name' : undefined;
    if (this.#head === 'set' && namesTransactionSetting(this.#text, quote + 1, end - 1)) this.#keep = 'statement';
    if (this.#words < 2) this.#words++;
    return end;
  }

  #string(start: number, quote: number): number {
    const end = endOfString(this.#text, quote, 'doubling');
    if (end < 0) return end;
    const word = timeWordInString(this.#text, quote, end);
    return this.#constant(start, end, word === undefined ? anyString : timeStrings[word]);
  }

  #dollar(start: number): number {
    const text = this.#text;
    const end = endOfDollarString(text, start);
    if (end < 0) return end;
    if (end > 0) {
      const tag = text.indexOf(byteOf.dollar, start + 1) + 1 - start;
      const word = timeWordIn(text, start + tag, end - tag);
      return this.#constant(start, end, word === undefined ? anyString : timeStrings[word]);
    }
    // `$1`, and what PostgreSQL refuses
    let at = start + 1;
    while (continuesWord[text[at] ?? 0] === 1 && text[at] !== byteOf.dollar) at++;
    this.#list = 'off';
    return this.#copy(start, at);
  }

  #number(start: number): number {
    const { end, kind, spelling } = readNumber(this.#text, start);
    const kept = kind === 'junk' || spelling === 'new';
    return this.#constant(start, end, kept ? undefined : kind === 'small' ? anyInteger : anyDecimal);
  }

  /** A constant in `start..end`: as it is where `placeholder` is undefined or constants are kept here. */
  #constant(start: number, end: number, placeholder: Uint8Array | undefined): number {
    const kept = placeholder === undefined || this.#keep !== 'nothing' || this.#armed === 'uescape';
    this.#armed = undefined;
    if (this.#list === 'rows' && this.#depth === this.#listDepth) this.#list = 'off';
    if (!kept) {
      this.#place(start, placeholder);
      return end;
    }
    if (this.#length > 0 && this.#out[this.#length - 1] === byteOf.quote) this.#gap = true;
    this.#emit(start, end);
    return end;
  }

  // ---- Brackets and lists ---------------------------------------------------------------------------------------

  #open(at: number, byte: number): void {
    const armed = this.#armed;
    this.#armed = undefined;
    if (this.#list === 'off' && armed === 'values' && byte === byteOf.open) this.#startList('rows', this.#depth);
    this.#emit(at, at + 1);
    if (this.#list === 'rows' && this.#depth === this.#listDepth) {
      this.#itemStart = this.#length - 1;
      // Behind the first row nothing but one comma may stand before the next.
      const comma = this.#itemStart === this.#previousEnd + 1 && this.#out[this.#previousEnd] === byteOf.comma;
      const follows = this.#previousStart < 0 || comma;
      if (!follows || byte !== byteOf.open) this.#list = 'off';
    }
    const keep = armed === 'call by name' ? 'first argument' : 'group';
    const keeps = armed === 'precision' || armed === 'call by name' || (armed === 'explain' && this.#words === 1);
    if (keeps && this.#keep === 'nothing') {
      this.#keep = keep;
      this.#keepDepth = this.#depth;
    }
    this.#depth++;
    if (this.#list === 'off' && armed === 'list') {
      this.#startList('elements', this.#depth);
      this.#itemStart = this.#length;
    }
  }

  #close(at: number, byte: number): void {
    this.#armed = undefined;
    if (this.#list === 'elements' && this.#depth === this.#listDepth) {
      this.#endItem();
      this.#list = 'off';
    }
    this.#emit(at, at + 1);
    this.#depth--;
    if (this.#list === 'rows' && this.#depth === this.#listDepth && byte === byteOf.close) this.#endItem();
    if (this.#depth < this.#listDepth) this.#list = 'off';
    const inGroup = this.#keep === 'group' || this.#keep === 'first argument';
    if (inGroup && this.#depth <= this.#keepDepth) this.#keep = 'nothing';
  }

  #comma(at: number): void {
    this.#armed = undefined;
    if (this.#keep === 'first argument' && this.#depth === this.#keepDepth + 1) this.#keep = 'nothing';
    if (this.#list === 'elements' && this.#depth === this.#listDepth) {
      this.#endItem();
      this.#emit(at, at + 1);
      this.#itemStart = this.#length;
    } else this.#emit(at, at + 1);
  }

  #semicolon(at: number): void {
    this.#emit(at, at + 1);
    this.semicolons.push({ normalised: this.#length - 1, original: at });
    this.#startStatement();
  }

  #startList(list: 'rows' | 'elements', depth: number): void {
    this.#list = list;
    this.#listDepth = depth;
    this.#previousStart = -1;
    this.#repeated = 'no';
  }

  /** Drops the item that ends here where it is the one before over again; a row where it is the third. */
  #endItem(): void {
    const out = this.#out;
    const size = this.#length - this.#itemStart;
    const before = this.#previousStart;
    if (before >= 0 && size > 0 && this.#previousEnd - before === size) {
      let at = 0;
      while (at < size && out[before + at] === out[this.#itemStart + at]) at++;
      if (at === size && (this.#list === 'elements' || this.#repeated === 'yes')) {
        this.#length = this.#previousEnd;
        this.cuts.truncate(this.#previousCuts);
        return;
      }
      this.#repeated = at === size ? 'yes' : 'no';
    } else this.#repeated = 'no';
    this.#previousStart = this.#itemStart;
    this.#previousEnd = this.#length;
    this.#previousCuts = this.cuts.count;
  }
}

const empty = Buffer.alloc(0);
/** Not the empty string and not zero: the parser leaves those out of its tree, as if the text had none. */
const anyString = Buffer.from(`'?'`);
const anyBits = Buffer.from(`B''`);
const anyHex = Buffer.from(`X''`);
const anyInteger = Buffer.from('1');
const anyDecimal = Buffer.from('1.0');
const timeStrings: Readonly<Record<TimeWord, Uint8Array>> = {
  now: Buffer.from(`'now'`),
  today: Buffer.from(`'today'`),
  tomorrow: Buffer.from(`'tomorrow'`),
  yesterday: Buffer.from(`'yesterday'`),
  allballs: Buffer.from(`'allballs'`),
};
