/** A deadline for replies: what is still owed when it passes is given up with its connection. */
import type { Backend } from './backend.ts';

/** Until `clear`. A backend that is cut makes its receivers hear `lost`; its server rolls back. */
export function guard(backends: readonly Backend[], timeoutMs: number): { clear(): void } {
  const timer = setTimeout(() => {
    for (const backend of backends) if (!backend.idle) backend.close('server too slow');
  }, timeoutMs);
  return { clear: () => clearTimeout(timer) };
}
