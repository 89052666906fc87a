/** A script of frontend messages, and the notation in which scripts are written down. */
import { copyData, copyDone, copyFail, query } from '../support/frontend-messages.ts';

/** One request, answered by exactly one ReadyForQuery. */
export interface Step {
  readonly sql: string;
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
 * Reads steps from text: paragraphs are Query messages, sent without the line end at their end. Lines of a paragraph
 * that begin with one of these are not part of the statement:
 *
 *     !22012 42P01       the SQLSTATEs that PostgreSQL answers with
 *     !? 0A000           the SQLSTATE from a server that does not have what the statement needs
 *     <1␉one             a CopyData message with this line and its line end; ␉ stands for a tab
 *     <x 5047434f50590a  a CopyData message with these bytes
 *     <.                 CopyDone
 *     <! reason          CopyFail
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
  const sql = lines.filter((line) => !/^[!<]/.test(line)).join('\n');
  const fails = lines.filter((line) => /^![0-9A-Z]/.test(line)).flatMap((line) => line.slice(1).trim().split(/\s+/));
  const lacking = lines.find((line) => line.startsWith('!? '))?.slice(3);
  return { sql, fails, lacking, copy: lines.filter((line) => line.startsWith('<')).map(parseCopyMessage) };
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

/** A step whose text the paragraphs cannot express: empty, or with blank lines in it. */
export function statement(sql: string, fails: readonly string[] = []): Step {
  return { sql, fails, lacking: undefined, copy: [] };
}

export function queryMessage(step: Step): Buffer {
  return query(step.sql);
}
