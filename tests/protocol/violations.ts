/** What breaks the protocol once a session is open, and what only looks as if it did. */
import {
  copyData,
  copyDone,
  copyFail,
  cString,
  flush,
  frame,
  passwordMessage,
  query,
  sync,
  terminate,
} from '../support/frontend-messages.ts';
import type { RawClient, Target } from '../support/raw-client.ts';
import { type Conversation, isEndedBy, look, ordinaryStartup, sends } from './conversation.ts';

const body = (bytes: number) => Buffer.alloc(bytes, 0x20);

const lengths: readonly Conversation[] = [
  isEndedBy('a length of 0', frame('Q', cString('SELECT 1'), 0)),
  isEndedBy('a length of 3', frame('Q', cString('SELECT 1'), 3)),
  isEndedBy('a length below zero', frame('Q', cString('SELECT 1'), -1)),
  isEndedBy('a length of two gigabytes', frame('Q', cString('SELECT 1'), 0x7fff_ffff)),
  isEndedBy('a length just over the limit', frame('Q', cString('SELECT 1'), 0x4000_0000)),
  isEndedBy('a Terminate with a body', frame('X', body(10))),
  isEndedBy('a Terminate that is too long', frame('X', body(20_000))),
  isEndedBy('a CopyDone that is too long, outside COPY', frame('c', body(20_000))),
  isEndedBy('a Sync that is too long', frame('S', body(20_000))),
];

const types: readonly Conversation[] = [
  isEndedBy('an unknown message type', frame('z', body(4))),
  isEndedBy('an unknown message type with a body that is not all there', frame('y', body(4), 5000)),
  isEndedBy('a zero as the message type', Buffer.alloc(64)),
  isEndedBy('a byte over 127 as the message type', frame('\xff', body(4))),
  isEndedBy('a PasswordMessage when nobody asked', passwordMessage('secret')),
  isEndedBy('a second StartupMessage', Buffer.from('0000000f00030000757365720061000000', 'hex')),
  isEndedBy('text in place of a message', Buffer.from('SELECT 1;\n')),
  isEndedBy('an unknown type behind a Query', query('SELECT 1'), frame('z', body(4))),
];

const bodies: readonly Conversation[] = [
  sends('a Query without its terminating zero', frame('Q', Buffer.from('SELECT 1'))),
  sends('a Query of no bytes', frame('Q', Buffer.alloc(0))),
  sends('a Query of one zero', frame('Q', Buffer.alloc(1))),
  sends('a Query with a zero inside', frame('Q', Buffer.from('SELECT 1\0; SELECT 2\0'))),
  sends('a Query with two zeros at its end', frame('Q', Buffer.from('SELECT 1\0\0'))),
  sends('a Query that is not UTF-8', frame('Q', Buffer.from("SELECT '\xff\xfe'\0", 'latin1'))),
  sends('a Query that ends inside a character', frame('Q', Buffer.from("SELECT '\xe2\x82\0", 'latin1'))),
  sends('a broken Query in a block', query('BEGIN'), frame('Q', Buffer.from('SELECT 1')), query('COMMIT')),
];

const outsideCopy: readonly Conversation[] = [
  sends('CopyData outside COPY', copyData('ignored\n')),
  sends('CopyDone outside COPY', copyDone()),
  sends('CopyFail outside COPY', copyFail('nothing to fail')),
  sends('all of COPY outside COPY', copyData('a\n'), copyData('b\n'), copyDone(), query('SELECT 1'), copyFail('no')),
  sends('Sync with nothing before it', sync()),
  sends('Sync three times', sync(), sync(), sync()),
  sends('Flush with nothing before it', flush()),
];

const copyIn = query('COPY received FROM STDIN');

/** What a session of its own sees in the table: in a block with a lock, since a reader may be behind what others wrote. */
const lookAtReceived = (target: Target): Promise<readonly string[]> =>
  look(target, 'BEGIN', 'LOCK TABLE received', 'SELECT * FROM received ORDER BY v', 'COMMIT');

/** In a session with a table `received`: bytes during COPY, then what has become of the table. */
function copies(name: string, ...parts: readonly Buffer[]): Conversation {
  return {
    name,
    hold: async (client, target) => {
      await prepareTable(client, target);
      client.send(...parts, terminate());
      await client.waitClosed();
      return lookAtReceived(target);
    },
  };
}

async function prepareTable(client: RawClient, target: Target): Promise<void> {
  client.send(ordinaryStartup(target));
  await client.waitReady(1);
  await client.query('DROP TABLE IF EXISTS received');
  await client.query('CREATE TABLE received (v text PRIMARY KEY)');
}

const duringCopy: readonly Conversation[] = [
  copies('a Query during COPY', copyIn, copyData('a\n'), query('SELECT 1'), query('SELECT 2')),
  copies('a Query that ends a COPY of no rows', copyIn, query('SELECT 1')),
  copies('Sync and Flush during COPY', copyIn, copyData('b\n'), flush(), sync(), copyData('c\n'), copyDone()),
  copies('an unknown type during COPY', copyIn, copyData('d\n'), frame('z', body(4))),
  copies('Terminate during COPY', copyIn, copyData('e\n')),
  copies('CopyData of no bytes', copyIn, copyData(''), copyData('f'), copyData(''), copyData('\n'), copyDone()),
  copies(
    'rows cut anywhere into CopyData',
    copyIn,
    ...['g', 'g\nh', 'h', '\ni'].map(copyData),
    copyData('i\n'),
    copyDone(),
  ),
  copies('a last row without a line end', copyIn, copyData('j\nk'), copyDone()),
  copies('a CopyDone with a body', copyIn, copyData('l\n'), frame('c', body(10)), query('SELECT 1')),
  copies('a CopyFail without its zero', copyIn, copyData('m\n'), frame('f', Buffer.from('why')), query('SELECT 1')),
  copies(
    'CopyData that goes on after an error',
    copyIn,
    copyData('n\tx\n'),
    copyData('o\n'),
    copyDone(),
    query('SELECT 1'),
  ),
  copies('a length of 3 during COPY', copyIn, copyData('p\n'), frame('d', body(4), 3)),
];

/** A session whose client goes away; then what is left of its work, once the server has noticed. */
function goesAway(name: string, leave: (client: RawClient) => void, before: readonly string[]): Conversation {
  return {
    name,
    hold: async (client, target) => {
      await prepareTable(client, target);
      for (const sql of before) await client.query(sql);
      leave(client);
      await client.waitClosed();
      // The lock is granted only once the session that wrote to it is gone.
      return lookAtReceived(target);
    },
  };
}

const insert = query("INSERT INTO received VALUES ('never')");

const ends: readonly Conversation[] = [
  goesAway(
    'the end of the connection in the middle of a message',
    (client) => {
      client.send(insert.subarray(0, 20));
      client.end();
    },
    [],
  ),
  goesAway(
    'the end of the connection in the middle of a header',
    (client) => {
      client.send(insert.subarray(0, 3));
      client.end();
    },
    [],
  ),
  goesAway('the end of the connection in a block', (client) => client.end(), [
    'BEGIN',
    "INSERT INTO received VALUES ('x')",
  ]),
  goesAway('a dropped connection in a block', (client) => client.destroy(), [
    'BEGIN',
    "INSERT INTO received VALUES ('x')",
  ]),
  goesAway('Terminate in a block', (client) => client.send(terminate()), [
    'BEGIN',
    "INSERT INTO received VALUES ('x')",
  ]),
  goesAway('statements after Terminate', (client) => client.send(terminate(), insert), []),
  goesAway('a violation in a block', (client) => client.send(frame('z', body(4))), [
    'BEGIN',
    "INSERT INTO received VALUES ('x')",
  ]),
  goesAway(
    'a statement before the end of the connection',
    (client) => {
      client.send(query("INSERT INTO received VALUES ('kept') RETURNING v"));
      client.end();
    },
    [],
  ),
  goesAway(
    'a COPY that is left in the middle',
    (client) => {
      client.send(copyIn, copyData('one\ntwo\n'));
      client.end();
    },
    [],
  ),
];

export const violations: readonly Conversation[] = [
  ...lengths,
  ...types,
  ...bodies,
  ...outsideCopy,
  ...duringCopy,
  ...ends,
];
