/** How many random cases a property is tried with, and which ones: `PPROX_TEST_RUNS` and `PPROX_TEST_SEED`. */
export function sampling(runs: number): { readonly numRuns: number; readonly seed: number } {
  return {
    numRuns: Number(process.env['PPROX_TEST_RUNS'] ?? runs),
    seed: Number(process.env['PPROX_TEST_SEED'] ?? 5),
  };
}
