/** A deadline for replies: what is still owed when it passes is given up with its connection. */
import type { Backend } from './backend.ts';

export interface Guard {
  /** The deadline is as far away again as it was at first. */
  refresh(): void;
  clear(): void;
}

/** Until `clear`. A backend that is cut makes its receivers hear `lost`; its server rolls back. */
export function guard(backends: readonly Backend[], timeoutMs: number): Guard {
  const timer = setTimeout(() => {
    for (const backend of backends) if (!backend.idle) backend.close('server too slow');
  }, timeoutMs);
  return { refresh: () => void timer.refresh(), clear: () => clearTimeout(timer) };
}
