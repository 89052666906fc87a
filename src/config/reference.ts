/** The tables of `config` as text for people: what docs/reference/configuration.md and `.env.example` must say. */
import { unreachable } from '../lib/assert.ts';
import { dsnParameters, type ParameterRow } from './dsn-parameters.ts';
import type { Variable } from './field.ts';
import { variables } from './settings.ts';

/** Markdown: one row for each variable. */
export function renderVariables(): string {
  const rows = variables.map((row) => {
    const standard = row.default === undefined ? 'not set' : `\`${row.default}\``;
    return `| \`${row.variable}\` | ${row.type} | ${standard} | ${row.accepts} | ${row.doc} |`;
  });
  return ['| Variable | Type | Default | Accepts | Meaning |', '| --- | --- | --- | --- | --- |', ...rows].join('\n');
}

/** Markdown: one row for each of libpq's connection parameters. */
export function renderDsnParameters(): string {
  const rows = Object.entries(dsnParameters).map(([name, row]) => {
    const variable = row.environment === undefined ? '' : `\`${row.environment}\``;
    return `| \`${name}\` | ${explain(row)} | ${variable} |`;
  });
  return ['| Parameter | What pprox does with it | Instead, from |', '| --- | --- | --- |', ...rows].join('\n');
}

function list(words: readonly string[]): string {
  return words.map((word) => `\`${word}\``).join(', ');
}

function explain({ rule }: ParameterRow): string {
  switch (rule.kind) {
    case 'used':
      return rule.doc;
    case 'refused':
      return `Refused: ${rule.because}.`;
    case 'no effect': {
      const refused = rule.refused === undefined ? '' : ` ${list(rule.refused)} is refused.`;
      return `Accepted without effect: ${rule.because}.${refused}`;
    }
    case 'word': {
      const refused = rule.refused.length === 0 ? '' : ` Refused: ${list(rule.refused)}, because ${rule.because}.`;
      const doc = rule.doc === undefined ? '' : ` ${rule.doc}`;
      return `Accepted: ${list(rule.accepted)}.${doc}${refused}`;
    }
    default:
      return unreachable(rule);
  }
}

/** Examples for the variables that have no default, or whose default says little. */
const examples: Readonly<Record<string, string>> = {
  PG_WRITERS_CSV: `'postgresql://app:secret@db1.example.com:5432/shop,postgresql://app:secret@db2.example.com:5432/shop'`,
  PG_READER_DSN: `'host=replica.example.com port=5432 dbname=shop user=app password=secret'`,
  PPROX_DATA_DIR: '/var/lib/pprox-demo',
};

/** The whole of `.env.example`. */
export function renderExample(): string {
  const head = [
    '# The variables that pprox reads, each with its default or an example. Copy this file to .env in the folder where pprox is',
    '# started, and remove the # before what you want to set. The real environment wins over the file. Put DSNs in single',
    '# quotes: without them a value ends at a #. Durations take the units us, ms, s, min, h and d. More about each of them:',
    '# docs/reference/configuration.md',
  ];
  return `${[...head, ...variables.flatMap(renderVariable)].join('\n')}\n`;
}

function renderVariable(row: Variable): string[] {
  return ['', ...wrap(`${row.doc} (${row.type})`), `#${row.variable}=${examples[row.variable] ?? row.default ?? ''}`];
}

function wrap(text: string): string[] {
  const lines: string[] = [];
  let line = '#';
  for (const word of text.split(' ')) {
    if (line.length + word.length > 118) {
      lines.push(line);
      line = '#';
    }
    line += ` ${word}`;
  }
  return [...lines, line];
}
