/**
 * Where pprox answers otherwise than PostgreSQL, on purpose. The battery lets these through and nothing else, and
 * docs/reference/protocol-support.md is made from them. A difference that no test needs any more fails the battery.
 */
import type { Section } from '../support/transcript.ts';

export interface DeclaredDifference {
  readonly title: string;
  readonly postgres: string;
  readonly pprox: string;
  readonly reason: string;
  /** Names of the scripts or conversations that show it, or of their whole topic. */
  readonly where: readonly string[];
  /** The section to compare pprox's with: PostgreSQL's own where nothing declared happened in it. */
  readonly reconcile: (expected: Section, actual: Section, step: string) => Section;
}

/** The fields that name a place in PostgreSQL's source: file, line, routine. */
const sourceFields = ['F', 'L', 'R'] as const;

/** Drops those of the source location from PostgreSQL's line that pprox's report has not. It never has a line number. */
function withoutSource(expected: Section, actual: Section): Section {
  return expected.map((line, index) => {
    const answer = actual[index] ?? '';
    const has = (field: string): boolean => answer.includes(`\n    ${field}="`);
    if (!/^(Error|Notice)Response/.test(answer) || has('L')) return line;
    return sourceFields
      .filter((field) => !has(field))
      .reduce((left, field) => left.replaceAll(new RegExp(`\\n {4}${field}="[^"]*"`, 'g'), ''), line);
  });
}

/** Statements, and what pprox answers them with: `0A000` for an error, otherwise command tags, and the status at the end. */
function answers(declared: Readonly<Record<string, string>>): DeclaredDifference['reconcile'] {
  return (expected, actual, step) => (declared[step] === summary(actual) ? actual : expected);
}

function summary(section: Section): string {
  return section
    .filter((line) => !line.startsWith('NoticeResponse'))
    .map((line) => /\n {4}C="([^"]*)"/.exec(line)?.[1] ?? line.replace(/^(CommandComplete|ReadyForQuery) /, ''))
    .join(', ');
}

export const differences: readonly DeclaredDifference[] = [
  {
    title: 'No source location in reports of pprox itself',
    postgres: 'Errors and notices have the fields F, L and R: file, line and routine of the server that raised them.',
    pprox:
      'A server’s reports have them, as they came. Those that pprox raises itself do not; R alone where drivers act on it (cached plan must not change result type).',
    reason: 'They are not raised in PostgreSQL’s source, and to name a place there would be a lie.',
    where: [
      'openings',
      'sessions',
      'violations',
      'transactions that begin and end inside one Query',
      'extended_basics',
      'extended_blocks',
      'extended_errors',
      'extended_pipelines',
      'extended_portals',
      'extended_prepared',
      'extended_glued',
      'extended_violations',
    ],
    reconcile: withoutSource,
  },
  {
    title: 'PREPARE TRANSACTION is refused',
    postgres: 'A client can prepare a transaction, and commit or roll it back by its name later.',
    pprox: '`0A000` for PREPARE TRANSACTION, COMMIT PREPARED and ROLLBACK PREPARED.',
    reason: 'pprox commits on all writers itself. A transaction prepared by name would be another one on each of them.',
    where: ['a client with two phases of its own'],
    reconcile: answers({
      "PREPARE TRANSACTION 'battery-1'": '0A000, E',
      ROLLBACK: 'ROLLBACK, I',
      "COMMIT PREPARED 'battery-none'": '0A000, I',
      "ROLLBACK PREPARED 'battery-1'": '0A000, I',
      "PREPARE TRANSACTION 'battery-2'": '0A000, I',
    }),
  },
  {
    title: 'Backslashes in string literals while standard_conforming_strings is off',
    postgres: 'A backslash in an ordinary literal escapes the next character.',
    pprox: '`0A000` for a text with a backslash in it. Other statements run.',
    reason: 'Where a literal ends would depend on the setting at that moment, and a COMMIT could hide behind it.',
    where: ['string literals by the old rules'],
    reconcile: answers({
      "SELECT 'a\\\\b', 'a\\'b'": '0A000, I',
      "SELECT 'a\\'; SELECT 1; --b'": '0A000, I',
      "SELECT 'no backslash', E'a\\\\b'": '0A000, I',
    }),
  },
  {
    title: 'Procedures that end transactions fail',
    postgres: 'A procedure that is called outside a block can commit and roll back.',
    pprox: '`2D000` from the lead, as in a block.',
    reason:
      'The lead’s COMMIT is the decision for all writers. One inside a procedure would come before the others are asked.',
    where: ['procedures that end transactions'],
    reconcile: answers({ 'CALL commits()': '2D000, I' }),
  },
  {
    title: 'Writes whose effect another writer could not repeat are refused',
    postgres: 'Any expression may be written, volatile ones too.',
    pprox:
      '`0A000`, and nothing is run: volatile expressions and WHERE CURRENT OF in an UPDATE or DELETE of a table without a key, currval() beside setval(), an INSERT that draws from a sequence beside a WITH that writes, COPY into a table that fills columns from a sequence or a volatile default, objects of the catalog in what is stored (`::regclass`), setval() of a sequence by its number.',
    reason:
      'The same text would have another effect on each writer (an object has a number of its own on each), and what the lead has done cannot be told row by row ([replay plans](../replay-plans.md)).',
    where: ['writes that are not replayed yet', 'sequences by their numbers'],
    reconcile: answers({
      'UPDATE chance SET v = random()': '0A000, I',
      'UPDATE chance SET at = clock_timestamp() WHERE id = 1': '0A000, I',
      'DELETE FROM chance WHERE v > 100 + random()': '0A000, I',
      'WITH moved AS (DELETE FROM chance WHERE id = 3 RETURNING *) INSERT INTO chance SELECT id + 10, 5, NULL FROM moved':
        '0A000, I',
      'COPY chance (v) FROM STDIN': '0A000, I',
      'UPDATE chance SET v = 0 WHERE CURRENT OF w': '0A000, E',
      "SELECT setval('chance_id_seq', 50), currval('chance_id_seq')": '0A000, I',
      '> Run (1259, 100): SELECT setval($1, $2)\n> Sync': '0A000, I',
      '> Run (0x000004eb, 100) formats 1,0: SELECT setval($1, $2)\n> Sync': '0A000, I',
      'SELECT setval(1259, 100)': '0A000, I',
      "SELECT setval('1259', 100)": '0A000, I',
    }),
  },
  {
    title: 'Function calls that may change something are for large objects alone',
    postgres: 'FunctionCall calls any function by its OID.',
    pprox:
      'PostgreSQL’s own functions that change nothing, and those of large objects, which libpq calls in this way; `0A000` for the others.',
    reason: 'The message is obsolete, and what a function may do is decided by the text of a statement.',
    where: ['function calls that would do something'],
    reconcile: answers({
      '> FunctionCall 1574 (called_by_number)': '0A000, I',
      '> FunctionCall 2078 (own.setting, x, false)': '0A000, I',
    }),
  },
  {
    title: 'A Query behind an Execute ends the transaction of the pipeline',
    postgres: 'From 18 on the Query belongs to the transaction that Sync ends; its ReadyForQuery says `T`.',
    pprox: 'The statements in front of it are committed with it, as up to PostgreSQL 17; its ReadyForQuery says `I`.',
    reason: 'A Query ends with ReadyForQuery, and what a client has been told then is to stand.',
    where: ['a Query in the place of Sync'],
    reconcile: answers({
      'ReadyForQuery 1 of 2 of\n> Run: INSERT INTO in_place VALUES (1)\n> Query: SELECT count(*) FROM in_place\n> Run: SELECT count(*) FROM in_place\n> Sync':
        'ParseComplete, BindComplete, NoData, INSERT 0 1, RowDescription\n    "count" table=0.0 type=20 size=8 mod=-1 format=0, DataRow "1", SELECT 1, I',
    }),
  },
  {
    title: 'pg_prepared_statements shows a PREPARE without its neighbours',
    postgres: 'The column statement has the whole text of the Query that held the PREPARE.',
    pprox: 'It has the PREPARE alone, and prepare_time is when the view was looked at.',
    reason:
      'Prepared statements are shared between clients under names of pprox; a client’s own stand in a server session for as long as the view is read.',
    where: ['prepared statements outlive what they were made in'],
    reconcile: (expected, actual, step) =>
      step === "SELECT statement FROM pg_prepared_statements WHERE name = 'before'" &&
      summary(actual).endsWith('DataRow "PREPARE before AS SELECT 1", SELECT 1, I')
        ? actual
        : expected,
  },
  {
    title: 'EXECUTE sends rows as they are made',
    postgres: 'EXECUTE collects its rows first: where it fails, none are sent.',
    pprox: 'Rows in front of the error may be sent, as for the statement by itself.',
    reason: 'Rows are not collected in the proxy.',
    where: ['EXECUTE that fails behind rows, and EXECUTE in a function'],
    reconcile: (expected, actual, step) =>
      step === 'EXECUTE halfway' ? [...actual.slice(0, -expected.length), ...expected] : expected,
  },
  {
    title: 'Functions do not find prepared statements',
    postgres: 'A function, procedure or DO block may EXECUTE by its text a statement that the session has prepared.',
    pprox: '`26000`.',
    reason: 'A server session has a client’s statements where the text of a client’s statement names them.',
    where: ['EXECUTE that fails behind rows, and EXECUTE in a function'],
    reconcile: answers({ "DO $$ BEGIN EXECUTE 'EXECUTE inner_one'; END $$": '26000, I' }),
  },
  {
    title: 'An index that could not be built concurrently is left behind on the lead alone',
    postgres: 'The invalid index is dropped by DROP INDEX.',
    pprox:
      'A warning behind the error says where it is. DROP INDEX is executed on the lead, and the error says that the other writers do not have the index; DROP INDEX IF EXISTS is executed everywhere.',
    reason: 'The statement cannot run in a transaction. It failed on the lead, so the others never saw it.',
    where: ['an index that could not be built'],
    reconcile: (expected, actual, step) => {
      if (step === 'DROP INDEX CONCURRENTLY doubled_once') return summary(actual) === '08007, I' ? actual : expected;
      if (!step.startsWith('CREATE UNIQUE INDEX CONCURRENTLY')) return expected;
      const [error, warning, ...rest] = actual;
      return warning?.startsWith('NoticeResponse') === true && error === expected[0] && rest.length === 1
        ? [...expected.slice(0, 1), warning, ...expected.slice(1)]
        : expected;
    },
  },
  {
    title: 'Channels that would give their name to another column',
    postgres: 'pg_listening_channels() may stand wherever a function may.',
    pprox:
      '`0A000` while the session listens, in a column without a name that is more than the call (a cast), in ROWS FROM, WITH ORDINALITY without an alias, and by a portal that is bound in front of a Flush.',
    reason:
      'All clients’ channels are on a shared connection: the call is replaced by them, and a column’s name is to stay.',
    where: ['channels that are told in no column of theirs'],
    reconcile: answers({
      'SELECT pg_listening_channels()::varchar': '0A000, I',
      'SELECT * FROM pg_listening_channels() WITH ORDINALITY': '0A000, I',
      'SELECT * FROM ROWS FROM (pg_listening_channels(), generate_series(1, 2))': '0A000, I',
    }),
  },
  {
    title: 'Channels in a READ ONLY transaction that has read',
    postgres: 'LISTEN, UNLISTEN and NOTIFY are allowed in a READ ONLY transaction.',
    pprox: '`0A000` once the transaction reads from the reader; before its first read they are allowed.',
    reason: 'A standby refuses them, and the transaction’s snapshot is the reader’s.',
    where: ['channels behind a read'],
    reconcile: answers({ 'LISTEN behind': '0A000, E' }),
  },
];

export interface Reconciled {
  readonly expected: readonly Section[];
  /** Titles of the differences that made any difference. */
  readonly used: readonly string[];
}

/** Applies what is declared for these names: of the script or conversation, and of its topic. `step` says what a section answers. */
export function reconcile(
  names: readonly string[],
  expected: readonly Section[],
  actual: readonly Section[],
  step: (section: number) => string,
): Reconciled {
  const used = new Set<string>();
  let current = expected;
  for (const difference of declaredFor(names)) {
    const next = current.map((section, index) => difference.reconcile(section, actual[index] ?? [], step(index)));
    if (JSON.stringify(next) !== JSON.stringify(current)) used.add(difference.title);
    current = next;
  }
  return { expected: current, used: [...used] };
}

export function declaredFor(names: readonly string[]): readonly DeclaredDifference[] {
  return differences.filter(({ where }) => where.some((name) => names.includes(name)));
}

/** The table of docs/reference/protocol-support.md. */
export function renderDifferences(): string {
  const rows = differences.map(
    ({ title, postgres, pprox, reason }) => `| ${title} | ${postgres} | ${pprox} | ${reason} |`,
  );
  return ['| Difference | PostgreSQL | pprox | Why |', '| --- | --- | --- | --- |', ...rows].join('\n');
}
