/**
 * The extended query protocol's part of the battery, not yet part of `npm test`. After a build:
 *
 *     node --test dist/tests/protocol/extended.js
 *     PPROX_TEST_TOPICS=extended_basics,extended_errors node --test --test-name-pattern='the unnamed portal' dist/tests/protocol/extended.js
 *     PPROX_TEST_SUBJECT=bare node --test dist/tests/protocol/extended.js      PostgreSQL with itself: proves the scripts
 */
import { runBattery } from './battery.ts';
import { runConversations } from './conversations.ts';
import { extendedViolations } from './extended-violations.ts';
import type { GroupName } from './groups.ts';

const topics = [
  'extended_basics',
  'extended_blocks',
  'extended_copy',
  'extended_errors',
  'extended_formats',
  'extended_pipelines',
  'extended_portals',
  'extended_prepared',
  'extended_sessions',
  'extended_writes',
] as const satisfies readonly GroupName[];

const chosen = process.env['PPROX_TEST_TOPICS']?.split(',');

for (const topic of topics) if (chosen === undefined || chosen.includes(topic)) runBattery(topic);
if (chosen === undefined || chosen.includes('extended_violations')) {
  runConversations('extended_violations', extendedViolations);
}
