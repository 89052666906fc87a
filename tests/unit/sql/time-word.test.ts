import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { timeWordIn } from '../../../src/sql/time-word.ts';

function wordIn(text: string): string | undefined {
  const bytes = Buffer.from(text);
  return timeWordIn(bytes, 0, bytes.length);
}

/** What PostgreSQL 18 takes as date, time or timestamp, and what of it depends on the clock. */
const moments: readonly (readonly [text: string, word: string])[] = [
  ['now', 'now'],
  [' NOW ', 'now'],
  ['(now)', 'now'],
  ['!!now,,', 'now'],
  ['today 10:00', 'today'],
  ['10:00today', 'today'],
  ['Today at 10:00 pm', 'today'],
  ['today 10:00 America/New_York', 'today'],
  ['today 10:00 EST5EDT', 'today'],
  ['today foo3', 'today'],
  ['tomorrow allballs zulu', 'tomorrow'],
  ['Yesterday_PST', 'yesterday'],
  ['allballs', 'allballs'],
  ['mon, tomorrow 5:00+03', 'tomorrow'],
  ['today 10:00 XYZ', 'today'],
  [`today${' '.repeat(1000)}10:00`, 'today'],
  [`{${'2020-01-01 00:00:00+00,'.repeat(40)}now}`, 'now'],
  [`[0:40]={${'2020-01-01 00:00:00+00,'.repeat(40)}"now"}`, 'now'],
  [`{${'[2010-01-01,2010-02-01),'.repeat(40)}[now,)}`, 'now'],
  ['{NULL,now}', 'now'],
  ['{NULL,"(a,b,now)"}', 'now'],
  ['[1:1]={"(some words here,other words there,now)"}', 'now'],
  [`(${'word,'.repeat(100)}"{now}")`, 'now'],
];

const others: readonly string[] = [
  '',
  'no',
  'snow',
  'nowhere',
  'know-how',
  'see you tomorrow',
  'call me today!',
  'Are we there now?',
  'now, or never',
  '{"status": "now"}',
  '{now,later}',
  '{later,now}',
  '[now,soon)',
  `{"text": "${'see you, not now. '.repeat(100)}"}`,
  'rush-today',
  'today-1',
  '10/today',
  'now.example.com',
  'today/10:00',
  'infinity',
  'epoch',
  '2024-01-01 10:00',
  `now ${'1 '.repeat(200)}`,
];

suite('time input reads a moment', () => {
  for (const [text, word] of moments) test(JSON.stringify(text.slice(0, 40)), () => assert.equal(wordIn(text), word));
});

suite('time input reads no moment, or refuses', () => {
  for (const text of others) test(JSON.stringify(text.slice(0, 40)), () => assert.equal(wordIn(text), undefined));
});
