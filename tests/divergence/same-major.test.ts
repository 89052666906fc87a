/** Every case of the battery, on two writers of the same version, followers trailing. PPROX_TEST_ROUNDS, PPROX_TEST_SEED. */
import { startScene } from '../e2e/scene.ts';
import { playBattery } from './battery.ts';
import { allCases } from './cases/all.ts';
import { ROUNDS } from './harness.ts';
import { QUICK } from './pace.ts';

const { cluster, proxy } = await startScene(QUICK.settings, { reader: false, settings: QUICK.servers });

await playBattery('same major', { writers: cluster.writers, dsns: [proxy.dsn()], rounds: ROUNDS ?? 6 }, allCases);
