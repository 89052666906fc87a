/** Programs that are not ours and not from npm, and tests that drive them. `scripts/install-clients.sh` installs them. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { root } from './repository.ts';

/** Where `scripts/install-clients.sh` puts what no package of the system has in the version that is tested. */
const installed = join(root, '.clients');
export const pgjdbcJar = join(installed, 'java', 'postgresql.jar');

/** How a program is asked whether it is there; what works first is the command to use. */
const probes = {
  psql: [['psql', '--version']],
  pg_dump: [['pg_dump', '--version']],
  pgbench: [['pgbench', '--version']],
  sysbench: [['sysbench', '--version']],
  sqlsmith: [['sqlsmith', '--version']],
  // Packages of the system belong to its own interpreters, which need not be the first in PATH.
  psycopg2: [
    ['/usr/bin/python3', '-c', 'import psycopg2'],
    ['python3', '-c', 'import psycopg2'],
  ],
  'psycopg 3': [[join(installed, 'python', 'bin', 'python3'), '-c', 'import psycopg']],
  // Both the compiler's package and the driver.
  PgJDBC: [['javap', '-cp', pgjdbcJar, 'org.postgresql.Driver']],
  'DBD::Pg': [
    ['/usr/bin/perl', '-MDBD::Pg', '-e', '1'],
    ['perl', '-MDBD::Pg', '-e', '1'],
  ],
  go: [
    ['go', 'version'],
    ['/usr/local/go/bin/go', 'version'],
  ],
} as const satisfies Readonly<Record<string, readonly (readonly [string, ...string[]])[]>>;

export type ClientProgram = keyof typeof probes;

const known = new Map<ClientProgram, string | undefined>();

/** The command that runs it (for psycopg and DBD::Pg the interpreter that has it, for PgJDBC the package that has `java`); undefined where it is not installed. */
export function findClient(program: ClientProgram): string | undefined {
  if (!known.has(program)) {
    const works = probes[program].find(
      ([command, ...args]) => spawnSync(command, args, { stdio: 'ignore', timeout: 30_000 }).status === 0,
    );
    known.set(program, works?.[0]);
  }
  return known.get(program);
}

/**
 * A test of that name, given the command of `program`. Where it is not installed the test is skipped and says so, but
 * fails in CI (the variable `CI` is set), where nothing may be left out without a word.
 */
export function clientTest(
  name: string,
  program: ClientProgram,
  body: (command: string, context: TestContext) => Promise<void>,
): void {
  const command = findClient(program);
  const absent = `${program} is not installed: scripts/install-clients.sh installs it`;
  const skip = command === undefined && (process.env['CI'] ?? '') === '' ? absent : false;
  test(name, { skip }, async (context) => {
    if (command === undefined) throw new Error(absent);
    await body(command, context);
  });
}
