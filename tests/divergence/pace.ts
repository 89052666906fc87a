/** Deadlines that make a case with many deadlocks end soon. */

export const QUICK = {
  settings: { deadlockTimeoutMs: 100, followerLockTimeoutMs: 2_000 },
  servers: { deadlock_timeout: '50ms', max_connections: '150' },
} as const;
