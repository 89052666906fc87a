/** Extended query messages that break their own form, and what else a script cannot express. */
import {
  bind,
  close,
  copyData,
  cString,
  describe,
  execute,
  flush,
  frame,
  parse,
  query,
  sync,
  terminate,
} from '../support/frontend-messages.ts';
import type { RawClient, Target } from '../support/raw-client.ts';
import { type Conversation, isEndedBy, look, ordinaryStartup, sends } from './conversation.ts';

const zeros = (count: number): Buffer => Buffer.alloc(count);
const ones = Buffer.alloc(2, 0xff);

/** A malformed message, then Sync. */
const malformed = (name: string, type: string, ...body: readonly Buffer[]): Conversation =>
  sends(name, frame(type, Buffer.concat(body)), sync());

const int16 = (value: number): Buffer => Buffer.from([value >> 8, value & 0xff]);
const int32 = (value: number): Buffer => Buffer.concat([int16((value >> 16) & 0xffff), int16(value & 0xffff)]);

const one = parse('', 'SELECT $1::int');
/** Both names of a Bind, empty, and no parameter formats. */
const unnamed = Buffer.concat([cString(''), cString(''), zeros(2)]);

const bodies: readonly Conversation[] = [
  malformed('a Parse of no bytes', 'P'),
  malformed('a Parse without the end of its name', 'P', Buffer.from('s')),
  malformed('a Parse without a text', 'P', cString('s')),
  malformed('a Parse without the end of its text', 'P', cString(''), Buffer.from('SELECT 1')),
  malformed('a Parse without the number of its types', 'P', cString(''), cString('SELECT 1')),
  malformed('a Parse with half a number of types', 'P', cString(''), cString('SELECT 1'), zeros(1)),
  malformed('a Parse with a type too few', 'P', cString(''), cString('SELECT 1'), int16(2), int32(23)),
  malformed('a Parse with more types than there are bytes', 'P', cString(''), cString('SELECT 1'), ones),
  malformed('a Parse with bytes behind its end', 'P', cString(''), cString('SELECT 1'), zeros(2), zeros(3)),
  malformed('a Parse that is not UTF-8', 'P', cString(''), Buffer.from("SELECT '\xff'\0", 'latin1'), zeros(2)),
  malformed('a Bind of no bytes', 'B'),
  malformed('a Bind without a statement', 'B', cString('')),
  malformed('a Bind without the end of its statement', 'B', cString(''), Buffer.from('s')),
  sends('a Bind without formats', one, frame('B', Buffer.concat([cString(''), cString('')])), sync()),
  sends(
    'a Bind with a format too few',
    one,
    frame('B', Buffer.concat([cString(''), cString(''), int16(2), int16(0)])),
    sync(),
  ),
  sends('a Bind without values', one, frame('B', unnamed), sync()),
  sends('a Bind with a value too few', one, frame('B', Buffer.concat([unnamed, int16(1)])), sync()),
  sends('a Bind with half a length', one, frame('B', Buffer.concat([unnamed, int16(1), zeros(2)])), sync()),
  sends(
    'a Bind with a value that is longer than it',
    one,
    frame('B', Buffer.concat([unnamed, int16(1), int32(100), cString('1')])),
    sync(),
  ),
  sends(
    'a Bind with a length below -1',
    one,
    frame('B', Buffer.concat([unnamed, int16(1), int32(-2), zeros(2)])),
    sync(),
  ),
  sends(
    'a Bind without result formats',
    one,
    frame('B', Buffer.concat([unnamed, int16(1), int32(1), Buffer.from('1')])),
    sync(),
  ),
  sends(
    'a Bind with a result format too few',
    one,
    frame('B', Buffer.concat([unnamed, int16(1), int32(1), Buffer.from('1'), int16(1)])),
    sync(),
  ),
  sends(
    'a Bind with bytes behind its end',
    one,
    frame('B', Buffer.concat([unnamed, int16(1), int32(1), Buffer.from('1'), zeros(2), zeros(1)])),
    sync(),
  ),
  malformed('a Describe of no bytes', 'D'),
  malformed('a Describe of a kind alone', 'D', Buffer.from('S')),
  malformed('a Describe without the end of its name', 'D', Buffer.from('Ss')),
  malformed('a Describe of an unknown kind', 'D', cString('Xs')),
  malformed('a Describe with bytes behind its end', 'D', cString('S'), zeros(1)),
  malformed('an Execute of no bytes', 'E'),
  malformed('an Execute without a limit', 'E', cString('')),
  malformed('an Execute with half a limit', 'E', cString(''), zeros(2)),
  malformed('an Execute with bytes behind its end', 'E', cString(''), zeros(5)),
  malformed('a Close of no bytes', 'C'),
  malformed('a Close of an unknown kind', 'C', cString('Xs')),
  malformed('a Close without the end of its name', 'C', Buffer.from('Ss')),
  malformed('a Close with bytes behind its end', 'C', cString('S'), zeros(1)),
  malformed('a Sync with a body', 'S', zeros(3)),
  malformed('a Flush with a body', 'H', zeros(3)),
];

const inBlock: readonly Conversation[] = [
  sends('a malformed Bind in a block', query('BEGIN'), frame('B', zeros(1)), sync(), query('COMMIT')),
  sends(
    'a malformed Bind behind a write',
    query('CREATE TEMP TABLE malformed (v int)'),
    parse('', 'INSERT INTO malformed VALUES (1)'),
    bind('', ''),
    execute(''),
    frame('B', zeros(1)),
    sync(),
    query('SELECT count(*) FROM malformed'),
  ),
  isEndedBy('an unknown message type behind an error', parse('', 'SELEC'), frame('z', zeros(4)), sync()),
  isEndedBy('an unknown message type behind Parse', parse('', 'SELECT 1'), frame('z', zeros(4)), sync()),
  isEndedBy('a Parse with a length of 3', frame('P', Buffer.from('x'), 3)),
  isEndedBy('a Bind that is too long', frame('B', zeros(10), 0x4000_0000)),
  isEndedBy('a Describe that is too long', frame('D', zeros(20_000))),
  isEndedBy('an Execute that is too long', frame('E', zeros(20_000))),
  isEndedBy('a Close that is too long', frame('C', zeros(20_000))),
  isEndedBy('a Flush that is too long', frame('H', zeros(20_000))),
  isEndedBy('a Terminate behind Parse', parse('', 'SELECT 1'), terminate()),
];

/** In a session with a table `pipelined`: these messages and the end of the connection; then what is left of their work. */
function leaves(name: string, end: (client: RawClient) => void, ...parts: readonly Buffer[]): Conversation {
  return {
    name,
    hold: async (client, target) => {
      client.send(ordinaryStartup(target));
      await client.waitReady(1);
      await client.query('DROP TABLE IF EXISTS pipelined');
      await client.query('CREATE TABLE pipelined (v text PRIMARY KEY)');
      client.send(...parts);
      end(client);
      await client.waitClosed();
      // The lock is granted only once the session that wrote to it is gone.
      return look(target, 'BEGIN', 'LOCK TABLE pipelined', 'SELECT * FROM pipelined ORDER BY v', 'COMMIT');
    },
  };
}

const insert = (value: string): Buffer =>
  Buffer.concat([parse('', `INSERT INTO pipelined VALUES ('${value}')`), bind('', ''), execute('')]);
const copyIn = Buffer.concat([parse('', 'COPY pipelined FROM STDIN'), bind('', ''), execute('')]);
const byTerminate = (client: RawClient): void => client.send(terminate());
const byEnd = (client: RawClient): void => client.end();

const ends: readonly Conversation[] = [
  leaves('Terminate in place of Sync', byTerminate, insert('a')),
  leaves('the end of the connection in place of Sync', byEnd, insert('a')),
  leaves('the end of the connection behind Sync', byEnd, insert('a'), sync()),
  leaves('the end of the connection behind a Sync and another write', byEnd, insert('a'), sync(), insert('b')),
  leaves('the end of the connection behind Flush', byEnd, insert('a'), flush()),
  leaves(
    'the end of the connection in the middle of a Bind',
    byEnd,
    parse('', 'SELECT 1'),
    bind('', '').subarray(0, 7),
  ),
  leaves('the end of the connection in the middle of a Parse', byEnd, insert('a'), insert('b').subarray(0, 20)),
  leaves('the end of the connection in the middle of COPY', byEnd, insert('a'), copyIn, copyData('b\n')),
  leaves('Terminate in the middle of COPY', byTerminate, insert('a'), copyIn, copyData('b\n')),
  leaves('a Parse during COPY', byTerminate, copyIn, copyData('a\n'), insert('b'), sync()),
  leaves('a Query during COPY by extended query', byTerminate, copyIn, copyData('a\n'), query('SELECT 1'), sync()),
  leaves('a Close during COPY', byTerminate, copyIn, copyData('a\n'), close('P', ''), sync()),
  leaves('an unknown message type in a pipeline', byTerminate, insert('a'), sync(), insert('b'), frame('z', zeros(4))),
];

/** What a session is told about OIDs that differ from server to server, used as a driver uses it. */
async function oidOf(client: RawClient, type: string): Promise<number> {
  const answer = await client.query(`SELECT '${type}'::regtype::oid::int`);
  const row = answer.find((message) => message.type === 'DataRow');
  const oid = Number(row?.values[0]?.toString());
  if (!(oid > 0)) throw new Error(`no type ${type}`);
  // The OID itself is no part of the answer.
  client.messages.splice(client.messages.length - answer.length, answer.length);
  return oid;
}

function withTypes(
  name: string,
  use: (client: RawClient, oids: { shade: number; shades: number }) => void,
): Conversation {
  return {
    name,
    hold: async (client, target: Target) => {
      client.send(ordinaryStartup(target));
      await client.waitReady(1);
      await client.query('SET client_min_messages = error');
      await client.query('DROP TABLE IF EXISTS shaded; DROP TYPE IF EXISTS shade');
      await client.query("CREATE TYPE shade AS ENUM ('dark', 'light')");
      await client.query('CREATE TABLE shaded (id int PRIMARY KEY, s shade, all_of shade[])');
      const oids = { shade: await oidOf(client, 'shade'), shades: await oidOf(client, 'shade[]') };
      const before = client.readies;
      use(client, oids);
      await client.waitReady(before + 1);
      await client.query('SELECT * FROM shaded ORDER BY id');
      client.send(terminate());
      await client.waitClosed();
    },
  };
}

/** A one-dimensional array in binary form: its element type is an OID of the server that it is for. */
const arrayOf = (type: number, ...values: readonly string[]): Buffer =>
  Buffer.concat([
    ...[1, 0, type, values.length, 1].map(int32),
    ...values.flatMap((value) => [int32(value.length), Buffer.from(value)]),
  ]);

const oids: readonly Conversation[] = [
  withTypes('a parameter type that a user made', (client, { shade }) =>
    client.send(
      parse('s', 'INSERT INTO shaded (id, s) VALUES ($1, $2)', [23, shade]),
      describe('S', 's'),
      bind('', 's', { values: ['1', 'dark'] }),
      execute(''),
      bind('', 's', { values: [int32(2), 'light'], formats: [1] }),
      execute(''),
      sync(),
    ),
  ),
  withTypes('an array type that a user made', (client, { shade, shades }) =>
    client.send(
      parse('s', 'INSERT INTO shaded VALUES ($1, $2, $3) RETURNING s', [23, shade, shades]),
      describe('S', 's'),
      bind('', 's', { values: ['1', null, '{dark,light}'] }),
      execute(''),
      sync(),
    ),
  ),
  withTypes('a binary array of a type that a user made', (client, { shade, shades }) =>
    client.send(
      parse('s', 'INSERT INTO shaded VALUES ($1, $2, $3) RETURNING all_of', [23, 0, shades]),
      bind('', 's', { values: [int32(1), 'dark', arrayOf(shade, 'light', 'dark')], formats: [1] }),
      execute(''),
      sync(),
    ),
  ),
  withTypes('a binary array whose type the server is to find out', (client, { shade }) =>
    client.send(
      parse('', 'UPDATE shaded SET all_of = $2 WHERE id = $1'),
      describe('S', ''),
      bind('', '', { values: ['1', arrayOf(shade, 'light')], formats: [0, 1] }),
      execute(''),
      parse('', 'INSERT INTO shaded (id, all_of) VALUES ($1, $2)'),
      bind('', '', { values: ['1', arrayOf(shade, 'light')], formats: [0, 1] }),
      execute(''),
      sync(),
    ),
  ),
];

export const extendedViolations: readonly Conversation[] = [...bodies, ...inBlock, ...ends, ...oids];
