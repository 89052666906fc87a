/** The proxy alone, in the foreground, until a signal stops it. */
import { formatAddress } from '../config/address.ts';
import type { Config } from '../config/config.ts';
import { createLog } from '../lib/log.ts';
import { startProxy } from '../proxy.ts';
import { findReadiness } from './readiness.ts';

/** A terminal's SIGINT arrives from npm as well: an echo within this time is not a second wish. */
const ECHO_MS = 1000;

/** Answers with the exit status: 0 after SIGINT or SIGTERM, 1 where it could not listen or a server is not fit for two-phase commit. */
export async function runProxy(config: Config): Promise<number> {
  const log = createLog(config.logLevel);
  const { errors, warnings } = await findReadiness(config);
  for (const error of errors) process.stderr.write(`pprox: ${error}\n`);
  if (errors.length > 0) return 1;
  for (const warning of warnings) log.warn(warning);
  let proxy: Awaited<ReturnType<typeof startProxy>>;
  try {
    proxy = await startProxy(config, log);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    const hint =
      code === 'EADDRINUSE' ? ': the address is in use; stop what uses it, or set PROXY_ADDR to another' : '';
    process.stderr.write(`pprox: cannot listen on ${formatAddress(config.listen)}: ${message}${hint}\n`);
    return 1;
  }
  // Heard from here on: whoever waits for `ready` may send one at once.
  const stopped = stopSignal();
  log.info('ready', {
    address: proxy.addresses.map(formatAddress).join(', '),
    writers: proxy.cluster.writers.map(({ label }) => label).join(', '),
    reader: proxy.cluster.reader?.label ?? 'the lead reads',
  });
  const signal = await stopped;
  log.info('stopping', { signal });
  const hurry = stopSignal(ECHO_MS).then(() => 'hurried' as const);
  const ended = await Promise.race([proxy.stop().then(() => 'stopped' as const), hurry]);
  log.info(ended);
  // A hurried stop leaves sockets behind that would keep the process.
  if (ended === 'hurried') process.exit(1);
  return 0;
}

/** The next SIGINT or SIGTERM that comes `afterMs` from now or later. */
function stopSignal(afterMs = 0): Promise<NodeJS.Signals> {
  const since = Date.now();
  return new Promise((resolve) => {
    const heard = (signal: NodeJS.Signals): void => {
      if (Date.now() - since >= afterMs) resolve(signal);
    };
    process.on('SIGINT', heard);
    process.on('SIGTERM', heard);
  });
}
