// `npm run bench`: what the proxy costs, next to the server itself and to other proxies.
//
//   npm run bench -- --help
//   npm run bench -- copy --help
//   npm run bench -- decisions --help
import { build } from './build.mjs';

const built = build();
if (built === 0) {
  const args = process.argv.slice(2);
  if (args[0] === 'copy') {
    const { benchCopy } = await import('../dist/bench/copy.js');
    process.exitCode = await benchCopy(args.slice(1));
  } else if (args[0] === 'decisions') {
    const { benchDecisions } = await import('../dist/bench/decisions.js');
    process.exitCode = await benchDecisions(args.slice(1));
  } else {
    const { bench } = await import('../dist/bench/main.js');
    process.exitCode = await bench(args);
  }
} else process.exitCode = built;
