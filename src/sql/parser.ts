/**
 * PostgreSQL's own grammar (libpg_query 18, compiled to WASM): query text to parse tree.
 *
 * The glue of `libpg-query` is used below its `index.js`, because an instance has to be replaceable. A tree deeper
 * than the stack ends in a RangeError thrown out of the middle of C code: the instance's own stack is never unwound,
 * and after some forty of these it answers nonsense (tried). So the first such end has a fresh instance made, and
 * the spoilt one serves only until that is ready, for a few more of them at most.
 */

import { createRequire } from 'node:module';
import { setFlagsFromString } from 'node:v8';
import type { RawStmt } from 'libpg-query';
import { assert } from '../lib/assert.ts';

export type Parsed =
  | { readonly kind: 'tree'; readonly statements: readonly RawStmt[] }
  /** The grammar's own message, without a position. */
  | { readonly kind: 'refused'; readonly message: string }
  /** Nested too deeply for the parser or for writing out its tree. */
  | { readonly kind: 'gave up' };

/** What is used of the emscripten module. `HEAPU8` is replaced when the memory grows: read it anew each time. */
interface Exports {
  readonly HEAPU8: Uint8Array;
  _malloc(bytes: number): number;
  _free(pointer: number): void;
  getValue(pointer: number, type: 'i32'): number;
  UTF8ToString(pointer: number): string;
  _wasm_parse_query_raw(text: number): number;
  _wasm_free_parse_result(result: number): void;
}

/** The same, by the names of C. */
interface Grammar {
  readonly memory: () => Uint8Array;
  readonly malloc: (bytes: number) => number;
  readonly free: (pointer: number) => void;
  readonly word: (pointer: number) => number;
  readonly text: (pointer: number) => string;
  readonly parseQuery: (text: number) => number;
  readonly freeResult: (result: number) => void;
}

interface Instance {
  readonly grammar: Grammar;
  /** Times that an exception left it in the middle of C code. */
  trapped: number;
}

/** A fresh instance breaks after about forty; this is far below. */
const trapLimit = 4;

/** Said by bison's stack, by `palloc` and by `check_stack_depth`; none of them is about the text's grammar. */
const exhaustion = /^(memory exhausted|out of memory|stack depth limit exceeded|invalid memory alloc)/;

const require = createRequire(import.meta.url);
let instance: Instance | undefined;
let replacement: Promise<void> | undefined;

/**
 * The grammar stays with V8's baseline compiler. Its automaton is one function so large that optimising it takes some
 * 550 MB for a third of a second on Node 24 (40 MB on Node 20 and 22): more than many a container has. What that would
 * win is a tenth of a parse, 3 µs, once for each shape of a statement. Concerns WebAssembly alone, of which there is no
 * other here.
 */
function keepBaseline(): void {
  setFlagsFromString('--no-wasm-tier-up');
  setFlagsFromString('--no-wasm-dynamic-tiering');
}

async function instantiate(): Promise<Instance> {
  keepBaseline();
  const factory = require('libpg-query/wasm/libpg-query.js') as () => Promise<Exports>;
  const module = await factory();
  const { _malloc: malloc, _free: free, getValue, UTF8ToString: text } = module;
  const { _wasm_parse_query_raw: parseQuery, _wasm_free_parse_result: freeResult } = module;
  const grammar: Grammar = {
    memory: () => module.HEAPU8,
    malloc,
    free,
    word: (pointer) => getValue(pointer, 'i32'),
    text,
    parseQuery,
    freeResult,
  };
  return { grammar, trapped: 0 };
}

/** Must have ended once before the first `parse`; further calls cost nothing. */
export async function loadParser(): Promise<void> {
  instance ??= await instantiate();
}

/** Pending while a spoilt parser is being replaced; undefined otherwise. */
export function parserReplacement(): Promise<void> | undefined {
  return replacement;
}

function retire(spoilt: Instance, trap: unknown): void {
  // A RangeError is a full stack; anything else (a WebAssembly.RuntimeError) means that memory is already damaged.
  spoilt.trapped = trap instanceof RangeError ? spoilt.trapped + 1 : trapLimit;
  replacement ??= instantiate().then(
    (fresh) => {
      instance = fresh;
      replacement = undefined;
    },
    () => {
      // No memory for another one now: the next trap, or the next text once the limit is reached, tries again.
      replacement = undefined;
    },
  );
}

/** Parses UTF-8 bytes without a zero. Never throws; the tree's locations are byte offsets into `text`. */
export function parse(text: Uint8Array): Parsed {
  assert(instance !== undefined, 'loadParser() has ended before the first parse');
  const current = instance;
  if (current.trapped >= trapLimit) {
    if (replacement === undefined) retire(current, new RangeError());
    return { kind: 'gave up' };
  }
  try {
    return parseWith(current.grammar, text);
  } catch (trap) {
    retire(current, trap);
    return { kind: 'gave up' };
  }
}

function parseWith(grammar: Grammar, text: Uint8Array): Parsed {
  const input = grammar.malloc(text.length + 1);
  grammar.memory().set(text, input);
  grammar.memory()[input + text.length] = 0;
  // PgQueryParseResult: { char *parse_tree; char *stderr_buffer; PgQueryError *error; }
  const result = grammar.parseQuery(input);
  const error = grammar.word(result + 8);
  let parsed: Parsed;
  if (error !== 0) {
    // PgQueryError begins with its message.
    const message = grammar.text(grammar.word(error));
    parsed = exhaustion.test(message) ? { kind: 'gave up' } : { kind: 'refused', message };
  } else {
    const tree = JSON.parse(grammar.text(grammar.word(result))) as { stmts?: RawStmt[] };
    parsed = { kind: 'tree', statements: tree.stmts ?? [] };
  }
  grammar.freeResult(result);
  grammar.free(input);
  return parsed;
}
