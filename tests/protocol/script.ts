/** A script of frontend messages, and the notation in which scripts are written down. */
import { copyData, copyDone, copyFail, query } from '../support/frontend-messages.ts';
import { notated } from './notation.ts';

/** What the client waits for before it goes on. */
export type Answer =
  | { readonly kind: 'ready'; readonly count: number }
  /** Messages of any kind, none of them ReadyForQuery: what Flush brings. */
  | { readonly kind: 'messages'; readonly count: number };

/** One request: messages in one write, and COPY data in another where `copy` has some. */
export interface Step {
  /** The SQL of its Query; where it consists of other messages, they as the script has them. */
  readonly text: string;
  readonly messages: readonly Buffer[];
  readonly answer: Answer;
  /** SQLSTATEs of the errors that PostgreSQL answers with, in order: keeps a slip of the pen from passing as a test. */
  readonly fails: readonly string[];
  /** What a server answers that was built without the feature or is older than it: then that is expected instead. */
  readonly lacking: string | undefined;
  /** Messages that follow the Query once the server has asked for COPY data. */
  readonly copy: readonly Buffer[];
}

export interface Script {
  readonly name: string;
  readonly steps: readonly Step[];
  /** Parameters of the StartupMessage beside user and database. */
  readonly startup: Readonly<Record<string, string>>;
  /** `nothing`: leaves the database as it found it, so that it can run any number of times. */
  readonly leaves: 'nothing' | 'objects';
}

/**
 * Reads steps from text: paragraphs are Query messages, sent without the line end at their end, or begin with `>` or `<` and are
 * messages written as in notation.ts, a line each, sent in one write; a line without a mark goes on with the message above it.
 * Lines of a paragraph that begin with one of these are not part of the statement:
 *
 *     !22012 42P01       the SQLSTATEs that PostgreSQL answers with
 *     !? 0A000           the SQLSTATE from a server that does not have what the statement needs
 *     <1␉one             a CopyData message with this line and its line end; ␉ stands for a tab
 *     <x 5047434f50590a  a CopyData message with these bytes
 *     <.                 CopyDone
 *     <! reason          CopyFail
 *     = 3 messages       what a request without Sync is answered with
 *     = 2 ready          ReadyForQuery messages that it is answered with, where a Query or Sync in it gets none
 */
export function steps(text: string): Step[] {
  return text
    .split(/\n[ \t]*\n/)
    .map((paragraph) => paragraph.replace(/^\n+|\n+$/g, ''))
    .filter((paragraph) => paragraph !== '')
    .map(parseStep);
}

function parseStep(paragraph: string): Step {
  const lines = paragraph.split('\n');
  const rest = lines.filter((line) => !line.startsWith('!'));
  const fails = lines.filter((line) => /^![0-9A-Z]/.test(line)).flatMap((line) => line.slice(1).trim().split(/\s+/));
  const lacking = lines.find((line) => line.startsWith('!? '))?.slice(3);
  const sent = rest.filter((line) => !line.startsWith('= '));
  if (/^[<>]/.test(sent[0] ?? '')) {
    const { messages, readies } = parseMessages(sent);
    const answer = parseAnswer(rest.find((line) => line.startsWith('= '))) ?? ready(readies);
    return { text: sent.join('\n'), messages, answer, fails, lacking, copy: [] };
  }
  const text = rest.filter((line) => !line.startsWith('<')).join('\n');
  const copy = rest.filter((line) => line.startsWith('<')).map(parseCopyMessage);
  return { text, messages: [query(text)], answer: ready(1), fails, lacking, copy };
}

const ready = (count: number): Answer => ({ kind: 'ready', count });

function parseAnswer(line: string | undefined): Answer | undefined {
  if (line === undefined) return undefined;
  const [, count, kind] = /^= (\d+) (messages|ready)$/.exec(line) ?? [];
  if (kind !== 'messages' && kind !== 'ready') throw new Error(`no answer is written like this: ${line}`);
  return { kind, count: Number(count) };
}

function parseMessages(lines: readonly string[]): { messages: Buffer[]; readies: number } {
  const whole: string[] = [];
  for (const line of lines) {
    if (/^[><]/.test(line)) whole.push(line);
    else whole.push(`${whole.pop() ?? ''}\n${line}`);
  }
  const list = whole.map((text) =>
    text.startsWith('<') ? { bytes: parseCopyMessage(text), readies: 0 } : notated(text.slice(1).trimStart()),
  );
  return { messages: list.map(({ bytes }) => bytes), readies: list.reduce((sum, { readies }) => sum + readies, 0) };
}

function parseCopyMessage(line: string): Buffer {
  if (line === '<.') return copyDone();
  if (line.startsWith('<! ')) return copyFail(line.slice(3));
  if (line.startsWith('<x ')) return copyData(Buffer.from(line.slice(3), 'hex'));
  return copyData(`${line.slice(1).replaceAll('␉', '\t')}\n`);
}

type Options = Partial<Pick<Script, 'startup' | 'leaves'>>;

export function script(name: string, body: string | readonly Step[], options: Options = {}): Script {
  const list = typeof body === 'string' ? steps(body) : body;
  return { name, steps: list, startup: options.startup ?? {}, leaves: options.leaves ?? 'objects' };
}

/** A Query whose text the paragraphs cannot express: empty, or with blank lines in it. */
export function statement(sql: string, fails: readonly string[] = []): Step {
  return { text: sql, messages: [query(sql)], answer: ready(1), fails, lacking: undefined, copy: [] };
}

/** A request that the notation cannot express, or would express at length. */
export function request(
  text: string,
  messages: readonly Buffer[],
  answer: Answer,
  fails: readonly string[] = [],
): Step {
  return { text, messages, answer, fails, lacking: undefined, copy: [] };
}

/** What each section of the script's transcript answers: sections end with ReadyForQuery, the first with the start-up's. */
export interface Round {
  readonly steps: readonly Step[];
  /** Indices of the sections, in order. */
  readonly sections: readonly number[];
}

/** Steps that bring no ReadyForQuery are answered together with the one that follows, or with the end of the connection. */
export function rounds(script: Script): Round[] {
  const list: Round[] = [];
  let waiting: Step[] = [];
  let section = 1;
  for (const step of script.steps) {
    const count = step.answer.kind === 'ready' ? step.answer.count : 0;
    waiting.push(step);
    if (count === 0) continue;
    const from = section;
    list.push({ steps: waiting, sections: Array.from({ length: count }, (_, index) => from + index) });
    section += count;
    waiting = [];
  }
  return [...list, { steps: waiting, sections: [section] }];
}
