/** The scripts by topic. Each group runs in a database of its own, and has a test file of its own. */
import type { Script } from './script.ts';
import { catalogScripts } from './scripts/catalog.ts';
import { channelScripts } from './scripts/channels.ts';
import { copyScripts } from './scripts/copy.ts';
import { definitionScripts } from './scripts/definitions.ts';
import { errorPositionScripts } from './scripts/error-positions.ts';
import { extendedBasicScripts } from './scripts/extended-basics.ts';
import { extendedBlockScripts } from './scripts/extended-blocks.ts';
import { extendedCopyScripts } from './scripts/extended-copy.ts';
import { extendedErrorScripts } from './scripts/extended-errors.ts';
import { extendedFormatScripts } from './scripts/extended-formats.ts';
import { extendedOutdatedScripts } from './scripts/extended-outdated.ts';
import { extendedPipelineScripts } from './scripts/extended-pipelines.ts';
import { extendedPortalScripts } from './scripts/extended-portals.ts';
import { extendedPreparedScripts } from './scripts/extended-prepared.ts';
import { extendedPreparedBySqlScripts } from './scripts/extended-prepared-by-sql.ts';
import { extendedSessionScripts } from './scripts/extended-sessions.ts';
import { extendedWriteScripts } from './scripts/extended-writes.ts';
import { extendedCursorScripts } from './scripts/extended-cursors.ts';
import { extendedNameScripts } from './scripts/extended-names.ts';
import { extendedTransactionScripts } from './scripts/extended-transactions.ts';
import { limitScripts } from './scripts/limits.ts';
import { messageScripts } from './scripts/messages.ts';
import { preparedBySqlScripts } from './scripts/prepared-by-sql.ts';
import { queryScripts } from './scripts/queries.ts';
import { sessionScripts } from './scripts/sessions.ts';
import { settingScripts } from './scripts/settings.ts';
import { severalStatementScripts } from './scripts/several-statements.ts';
import { transactionScripts } from './scripts/transactions.ts';
import { numberScripts } from './scripts/types-numbers.ts';
import { otherTypeScripts } from './scripts/types-other.ts';
import { structuredScripts } from './scripts/types-structured.ts';
import { textScripts } from './scripts/types-text.ts';
import { timeScripts } from './scripts/types-time.ts';
import { writeScripts } from './scripts/writes.ts';

export const groups = {
  copy: copyScripts,
  definitions: definitionScripts,
  limits: limitScripts,
  messages: messageScripts,
  queries: [...queryScripts, ...catalogScripts],
  sessions: [...sessionScripts, ...preparedBySqlScripts, ...channelScripts, ...settingScripts],
  transactions: [...transactionScripts, ...severalStatementScripts],
  types: [...numberScripts, ...textScripts, ...timeScripts, ...structuredScripts, ...otherTypeScripts],
  writes: writeScripts,
  error_positions: errorPositionScripts,
  extended_basics: [...extendedBasicScripts, ...extendedNameScripts],
  extended_blocks: extendedBlockScripts,
  extended_copy: extendedCopyScripts,
  extended_errors: extendedErrorScripts,
  extended_formats: extendedFormatScripts,
  extended_pipelines: [...extendedPipelineScripts, ...extendedTransactionScripts],
  extended_portals: [...extendedPortalScripts, ...extendedCursorScripts],
  extended_prepared: [...extendedPreparedBySqlScripts, ...extendedPreparedScripts, ...extendedOutdatedScripts],
  extended_sessions: extendedSessionScripts,
  extended_writes: extendedWriteScripts,
} as const satisfies Record<string, readonly Script[]>;

export type GroupName = keyof typeof groups;

export const allScripts: readonly Script[] = Object.values(groups).flat();
