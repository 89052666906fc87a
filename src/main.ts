/** The process: arguments, signals, exit status. */
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { runCheck } from './cli/check.ts';
import { runDemo } from './cli/demo.ts';
import { type InitOptions, runInit } from './cli/init.ts';
import { type RecoverOptions, runRecover } from './cli/recover.ts';
import { runProxy } from './cli/run.ts';
import { addEnvFile } from './config/env-file.ts';
import { loadConfig, type LoadResult } from './config/load.ts';
import { formatProblems } from './config/problem.ts';
import { startDemoProxy } from './cli/demo-proxy.ts';

/** EX_CONFIG of sysexits.h: the configuration is at fault. */
const EXIT_CONFIG = 78;
const EXIT_USAGE = 2;

function version(): string {
  const file = new URL('../../package.json', import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}

/** All that is wrong, on standard error, or the configuration. */
function configuration(): LoadResult {
  const environment = addEnvFile(process.env, process.cwd());
  const result = environment.kind === 'environment' ? loadConfig(environment.environment) : environment;
  if (result.kind === 'invalid')
    process.stderr.write(`pprox: the configuration is not usable\n${formatProblems(result.problems)}\n`);
  return result;
}

async function start(): Promise<number> {
  const result = configuration();
  switch (result.kind) {
    case 'config':
      return runProxy(result.config);
    case 'demo':
      return runDemo({
        listen: result.demo.listen,
        dataDirectory: result.demo.dataDir,
        startProxy: (servers) => startDemoProxy(result.demo, servers),
      });
    default:
      return EXIT_CONFIG;
  }
}

async function check(): Promise<number> {
  const result = configuration();
  if (result.kind === 'config') return runCheck(result.config);
  if (result.kind === 'demo') {
    process.stderr.write('pprox: nothing to check: PG_WRITERS_CSV is not set\n');
    return EXIT_CONFIG;
  }
  return EXIT_CONFIG;
}

async function init(options: InitOptions): Promise<number> {
  const environment = addEnvFile(process.env, process.cwd());
  const result = configuration();
  if (result.kind === 'config' && environment.kind === 'environment') {
    return runInit(result.config, options, environment.environment, {
      sql: (line) => process.stdout.write(`${line}\n`),
      problem: (text) => process.stderr.write(`pprox: ${text}\n`),
    });
  }
  if (result.kind === 'demo') {
    process.stderr.write('pprox: nothing to set up: PG_WRITERS_CSV is not set, and the demo sets its own servers up\n');
  }
  return EXIT_CONFIG;
}

async function recover(options: RecoverOptions): Promise<number> {
  const result = configuration();
  if (result.kind === 'config') {
    return runRecover(result.config, options, {
      line: (text) => process.stdout.write(`${text}\n`),
      problem: (text) => process.stderr.write(`pprox: ${text}\n`),
    });
  }
  if (result.kind === 'demo') process.stderr.write('pprox: nothing to recover: PG_WRITERS_CSV is not set\n');
  return EXIT_CONFIG;
}

function collect(value: string, before: readonly string[]): readonly string[] {
  return [...before, value];
}

interface InitArguments {
  readonly user?: string;
  readonly database: readonly string[];
  readonly grant: readonly string[];
  readonly dryRun?: true;
}

async function main(): Promise<number> {
  let status: Promise<number> = Promise.resolve(0);
  const program = new Command('pprox')
    .description('A PostgreSQL proxy: reads go to a reader, every write is applied to all writers or to none.')
    .version(version(), '-V, --version')
    .exitOverride()
    .action(() => {
      status = start();
    });
  program
    .command('start', { isDefault: true })
    .description('run the proxy, or with no DSN set the demo: an embedded cluster and the proxy in front of it')
    .action(() => {
      status = start();
    });
  program
    .command('check')
    .description('connect to every server named, and report what would keep the proxy from working')
    .action(() => {
      status = check();
    });
  program
    .command('init')
    .description('make schema pprox, which two-phase commit needs, in the database of the lead that its DSN names')
    .option('--user <role>', "log in as this role instead of the DSN's; the schema will be its own")
    .option('--database <name>', "in this database instead of the DSN's; repeat it for several", collect, [])
    .option('--grant <role>', 'open the schema to another login role; repeat it for several', collect, [])
    .option('--dry-run', 'print the SQL, change nothing')
    .action((given: InitArguments) => {
      status = init({
        user: given.user,
        databases: given.database,
        roles: given.grant,
        mode: given.dryRun === true ? 'dry run' : 'run',
      });
    });
  program
    .command('recover')
    .description('show every transaction that is prepared on a follower, and end those whose process is gone')
    .option('--user <role>', 'log in as this role where the DSNs name none')
    .option('--dry-run', 'show what would be done, change nothing')
    .action((given: { readonly user?: string; readonly dryRun?: true }) => {
      status = recover({ user: given.user, mode: given.dryRun === true ? 'dry run' : 'run' });
    });
  try {
    program.parse();
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT_USAGE;
    throw error;
  }
  return status;
}

process.exitCode = await main();
