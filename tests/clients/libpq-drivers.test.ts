/** Drivers on libpq as they are used: statements prepared on the server, binary values, pipelines, cursors. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { clientTest } from '../support/client-programs.ts';
import { root } from '../support/repository.ts';
import { compareSeen, dsnOf } from './comparison.ts';
import { succeed } from './program.ts';
import { openStage } from './stage.ts';

const stage = await openStage({ major: 18 });
const scenarios = join(root, 'tests', 'clients');

clientTest('psycopg 3 and libpq in pipeline mode see what they see on the lead', 'psycopg 3', async (python) => {
  const script = join(scenarios, 'psycopg3', 'scenario.py');
  const seen = await compareSeen(stage, 'psycopg3', (target, database) =>
    succeed(python, [script, dsnOf(target, database)]),
  );
  assert.match(seen, /^executemany returning: \(\[\[\(0,\)\], \[\(2,\)\], \[\(4,\)\], \[\(6,\)\]\],\)$/m);
  assert.match(seen, /^notifications: \(\[\('bell', 'ünï', True\), \('bell', 'twice', True\)\],\)$/m);
  assert.match(seen, /^libpq, at the end: \(b'604', b'4203'\)$/m);
});

clientTest('DBD::Pg with statements prepared on the server sees what it sees on the lead', 'DBD::Pg', async (perl) => {
  const script = join(scenarios, 'dbd-pg', 'scenario.pl');
  const seen = await compareSeen(stage, 'dbd_pg', ({ host, port }, database) =>
    succeed(perl, [script, host, String(port), database, '1']),
  );
  assert.match(seen, /^left: 500 \| ä99$/m);
});
