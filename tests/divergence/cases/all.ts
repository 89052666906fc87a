/** Every case of the battery. */
import type { Case } from '../case.ts';
import { constraintCases } from './constraints.ts';
import { defaultCases } from './defaults.ts';
import { definitionCases } from './definitions.ts';
import { isolationCases } from './isolation.ts';
import { keyCases } from './keys.ts';
import { leadAloneCases } from './lead-alone.ts';
import { meanwhileCases } from './meanwhile.ts';
import { partitionCases } from './partitions.ts';
import { predicateCases } from './predicates.ts';
import { programCases } from './programs.ts';
import { queueCases } from './queues.ts';
import { randomCases } from './random-values.ts';
import { removalCases } from './removals.ts';
import { ruleCases } from './rules.ts';
import { sequenceCases } from './sequences.ts';
import { sessionCases } from './sessions.ts';
import { timeCases } from './time.ts';
import { triggerCases } from './triggers.ts';
import { valueCases } from './values.ts';
import { withCases } from './with.ts';

export const allCases: readonly Case[] = [
  ...timeCases,
  ...randomCases,
  ...sequenceCases,
  ...defaultCases,
  ...sessionCases,
  ...predicateCases,
  ...queueCases,
  ...keyCases,
  ...partitionCases,
  ...definitionCases,
  ...withCases,
  ...valueCases,
  ...constraintCases,
  ...triggerCases,
  ...ruleCases,
  ...programCases,
  ...isolationCases,
  ...removalCases,
  ...leadAloneCases,
  ...meanwhileCases,
];
