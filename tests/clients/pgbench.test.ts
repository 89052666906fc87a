/** Sixteen clients at once: nothing fails that should not, and both writers hold the same afterwards. */
import assert from 'node:assert/strict';
import { clientTest } from '../support/client-programs.ts';
import { sql } from '../support/cluster.ts';
import { run, succeed } from './program.ts';
import { psql } from './psql.ts';
import { assertWritersEqual, createDatabases, fixture, openStage } from './stage.ts';

const stage = await openStage({ major: 18 });
const { w1, w2 } = stage.cluster;
await createDatabases(stage, 'bench', 'generated', 'inserts', 'storm');
const { host, port } = stage.proxy;
const address = ['-h', host, '-p', String(port), '-U', 'postgres'];
const sixteen = ['-c', '16', '-j', '2'];
const crowd = ['-M', 'simple', ...sixteen];

/** Runs pgbench, of which no transaction may fail. Returns how many there were. */
async function bench(command: string, database: string, args: readonly string[]): Promise<number> {
  const { status, stdout, stderr } = await run(command, [...address, ...args, database]);
  assert.equal(status, 0, stdout + stderr);
  assert.match(stdout, /^number of failed transactions: 0 \(0\.000%\)$/m);
  const count = Number(/^number of transactions actually processed: (\d+)/m.exec(stdout)?.[1]);
  assert.ok(count > 0, stdout);
  return count;
}

const one = async (text: string, database: string): Promise<number> =>
  Number((await sql(w2, text, database))[0]?.['value']);

clientTest('pgbench fills its tables, from the client and on the server', 'pgbench', async (pgbench) => {
  await succeed(pgbench, [...address, '-i', '-s', '2', '-q', 'bench']);
  await assertWritersEqual(stage, 'bench', 'by digest');
  await succeed(pgbench, [...address, '-i', '-I', 'dtGvpf', '-s', '1', '--partitions=3', 'generated']);
  assert.equal(await one('SELECT count(*) AS value FROM pgbench_accounts', 'generated'), 100_000);
  await assertWritersEqual(stage, 'generated', 'by digest');
});

/** Every transaction that pgbench counts is in the history, and every sum of it in the balances. */
async function assertAccounted(transactions: number): Promise<void> {
  assert.equal(await one('SELECT count(*) AS value FROM pgbench_history', 'bench'), transactions);
  const total = await one('SELECT sum(delta) AS value FROM pgbench_history', 'bench');
  for (const [table, column] of [
    ['branches', 'bbalance'],
    ['tellers', 'tbalance'],
    ['accounts', 'abalance'],
  ] as const) {
    assert.equal(await one(`SELECT sum(${column}) AS value FROM pgbench_${table}`, 'bench'), total, table);
  }
  await assertWritersEqual(stage, 'bench', 'by digest');
}

for (const [protocol, seconds] of [
  ['simple', 5],
  ['extended', 4],
  ['prepared', 4],
] as const) {
  clientTest(
    `pgbench of 16 clients for ${seconds} s, protocol ${protocol}, leaves both writers equal, timestamps included`,
    'pgbench',
    async (pgbench) => {
      const before = await one('SELECT count(*) AS value FROM pgbench_history', 'bench');
      const count = await bench(pgbench, 'bench', ['-M', protocol, ...sixteen, '-n', '-T', String(seconds)]);
      await assertAccounted(before + count);
    },
  );
}

for (const [what, args] of [
  ['simple updates', ['-N', '-T', '2']],
  ['reads', ['-S', '-T', '2']],
  ['reads by the extended protocol', ['-M', 'extended', '-S', '-T', '1']],
  ['prepared reads', ['-M', 'prepared', '-S', '-T', '1']],
  ['prepared simple updates', ['-M', 'prepared', '-N', '-T', '1']],
  ['a connection for each transaction', ['-C', '-N', '-T', '2']],
  ['a connection and prepared statements for each transaction', ['-M', 'prepared', '-C', '-S', '-T', '1']],
] as const) {
  clientTest(`pgbench with ${what} has no failed transaction`, 'pgbench', async (pgbench) => {
    await bench(pgbench, 'bench', [...crowd, ...args]);
    await assertWritersEqual(stage, 'bench', 'by digest');
  });
}

const items = `
CREATE TABLE serial_item (id serial PRIMARY KEY, client integer NOT NULL, word text, at timestamptz DEFAULT now());
CREATE TABLE identity_item (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, client integer CHECK (client < 1000));
CREATE TABLE counter (id integer PRIMARY KEY, n integer DEFAULT 0);
CREATE TABLE reference (identity bigint REFERENCES identity_item, moment timestamptz, tag uuid DEFAULT gen_random_uuid());
INSERT INTO counter SELECT n FROM generate_series(1, 10) AS n;
`;

clientTest(
  'serial and identity columns get the same values on both writers, with rollbacks among 16 clients',
  'pgbench',
  async (pgbench) => {
    const { status, stderr } = await psql(stage.proxy, ['-q', '-v', 'ON_ERROR_STOP=1'], {
      input: items,
      database: 'inserts',
    });
    assert.equal(status, 0, stderr);
    for (const [protocol, times] of [
      ['simple', 20],
      ['extended', 10],
      ['prepared', 10],
    ] as const) {
      const args = ['-M', protocol, ...sixteen, '-n', '-t', String(times), '-f', fixture('inserts.pgbench')];
      assert.equal(await bench(pgbench, 'inserts', args), 16 * times);
    }
    const kept = await one('SELECT count(*) AS value FROM reference', 'inserts');
    assert.ok(kept > 300 && kept < 640, `${kept} transactions were kept`);
    await assertWritersEqual(stage, 'inserts');
  },
);

/**
 * Statements of which many fail; each line is sent as one Query. Rows that come and go have keys of one client's own: whether
 * another's new row is there yet is a race, which pprox answers with 40002 where the writers saw different ends of it.
 */
function storm(client: number): string {
  let state = client * 7919 + 13;
  const random = (below: number): number => {
    state = (state * 48271) % 2147483647;
    return state % below;
  };
  const lines = [
    () => `INSERT INTO serial_item (client, word) VALUES (${client}, 'word');`,
    () =>
      `INSERT INTO serial_item (client, word) VALUES (${client}, 'many') \\; INSERT INTO serial_item (client) VALUES (NULL);`,
    () => `INSERT INTO identity_item (client) SELECT ${client} FROM generate_series(1, ${1 + random(5)});`,
    () => `INSERT INTO identity_item (client) VALUES (${client}), (${900 + random(200)});`,
    () => `INSERT INTO counter VALUES (${1 + random(20)}) ON CONFLICT DO NOTHING;`,
    () => `INSERT INTO counter VALUES (${random(2) * 100 * client + random(12)});`,
    () => `INSERT INTO counter VALUES (${1 + random(20)}) ON CONFLICT (id) DO UPDATE SET n = counter.n + 1;`,
    () => `UPDATE counter SET n = n + 1 WHERE id = ${1 + random(10)};`,
    () => `UPDATE counter SET n = n / 0 WHERE id = ${1 + random(10)};`,
    () => `DELETE FROM counter WHERE id = ${100 * client + random(3)};`,
    () => `INSERT INTO reference (identity, moment) VALUES (${1 + random(100)}, now());`,
    () =>
      `BEGIN;\nINSERT INTO serial_item (client) VALUES (${client});\nINSERT INTO counter VALUES (1);\nINSERT INTO serial_item (client) VALUES (${client});\nCOMMIT;`,
    () =>
      `BEGIN;\nINSERT INTO serial_item (client) VALUES (${client}) RETURNING id > 0;\nSAVEPOINT s;\nINSERT INTO counter VALUES (1);\nROLLBACK TO s;\nINSERT INTO identity_item (client) VALUES (${client});\n${random(3) === 0 ? 'ROLLBACK' : 'COMMIT'};`,
    () =>
      `COPY serial_item (id, client, word, at) FROM STDIN;\n${1_000_000 + random(2000)}\t${client}\tcopied\t\\N\n\\.`,
  ];
  const chosen = Array.from({ length: 60 }, () => lines[random(lines.length)]?.() ?? '');
  return `\\set VERBOSITY sqlstate\n${chosen.join('\n')}\n`;
}

clientTest('sixteen clients whose statements often fail leave both writers equal', 'psql', async () => {
  const { status, stderr } = await psql(stage.proxy, ['-q', '-v', 'ON_ERROR_STOP=1'], {
    input: items,
    database: 'storm',
  });
  assert.equal(status, 0, stderr);
  const clients = Array.from({ length: 16 }, (_, client) =>
    psql(stage.proxy, ['-Atq'], { input: storm(client), database: 'storm' }),
  );
  const codes = new Set<string>();
  for (const finished of await Promise.all(clients)) {
    assert.equal(finished.status, 0, finished.stderr);
    for (const [, code] of finished.stderr.matchAll(/^ERROR: {2}(.*)$/gm)) codes.add(String(code));
  }
  // Not null, foreign key, unique, check, division by zero, failed transaction; and nothing of the proxy's own.
  assert.deepEqual([...codes].toSorted(), ['22012', '23502', '23503', '23505', '23514', '25P02']);
  assert.ok((await one('SELECT count(*) AS value FROM serial_item', 'storm')) > 100);
  await assertWritersEqual(stage, 'storm');
  const [gap] = await sql(w1, 'SELECT max(id) - count(*) AS value FROM serial_item WHERE id < 1000000', 'storm');
  assert.ok(Number(gap?.['value']) > 0, 'some values of the sequence were lost on the lead');
});
