// `npm run bench`: what the proxy costs, next to the server itself and to other proxies. `npm run bench -- --help`.
import { build } from './build.mjs';

const built = build();
if (built === 0) {
  const { bench } = await import('../dist/bench/main.js');
  process.exitCode = await bench(process.argv.slice(2));
} else process.exitCode = built;
