/** Known mistakes, planted into the simulated driver one at a time, to see that the simulator finds them. */

export const BUGS = [
  'answer before the decision',
  'COMMIT PREPARED before the lead has committed',
  'recovery without a fence',
  'tombstone deleted early',
  'commit row deleted early',
  'nothing of that name taken for committed',
  'no barrier',
  'no replay for other processes',
  'legs leased after the first lock',
  'ROLLBACK TO without a drain',
  'PREPARE taken for the statements in front of it',
] as const;

export type Bug = (typeof BUGS)[number];

export type Bugs = ReadonlySet<Bug>;

export const NO_BUGS: Bugs = new Set();
