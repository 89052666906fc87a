import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { decodeStartup, isStartupLength, MAX_STARTUP_BYTES } from '../../../src/wire/startup.ts';
import {
  cancelRequest,
  cString,
  gssEncRequest,
  opening,
  protocol30,
  protocol32,
  sslRequest,
  startupMessage,
} from '../../support/frontend-messages.ts';

describe('a first packet', () => {
  test('is known by its code', () => {
    assert.deepEqual(decodeStartup(sslRequest()), { kind: 'ssl request' });
    assert.deepEqual(decodeStartup(gssEncRequest()), { kind: 'gssenc request' });
  });

  test('that starts a session has its parameters by name, the last of a name winning', () => {
    const parameters = { user: 'u', database: 'ä b', options: "-c a='x'", empty: '' };
    assert.deepEqual(decodeStartup(startupMessage(parameters, protocol32)), {
      kind: 'startup',
      major: 3,
      minor: 2,
      parameters: new Map(Object.entries(parameters)),
    });
    const body = Buffer.concat([cString('user'), cString('a'), cString('user'), cString('b'), Buffer.alloc(1)]);
    const twice = decodeStartup(opening(protocol30, body));
    assert.ok(twice.kind === 'startup');
    assert.equal(twice.parameters.get('user'), 'b');
  });

  test('of another protocol is not read beyond its version', () => {
    const packet = decodeStartup(opening(0x0002_0000, Buffer.from('whatever')));
    assert.deepEqual(packet, { kind: 'startup', major: 2, minor: 0, parameters: new Map() });
  });

  test('that cancels carries a key of 4 to 256 bytes', () => {
    for (const size of [4, 32, 256]) {
      const secretKey = Buffer.alloc(size, 7);
      assert.deepEqual(decodeStartup(cancelRequest(5, secretKey)), { kind: 'cancel', processId: 5, secretKey });
    }
    for (const size of [0, 3, 257]) assert.equal(decodeStartup(cancelRequest(5, Buffer.alloc(size))).kind, 'invalid');
  });

  test('without its terminator, or with bytes behind it, is invalid', () => {
    const bodies = [
      Buffer.concat([cString('user'), Buffer.from('u')]),
      Buffer.concat([cString('user'), cString('u'), Buffer.from([0, 1])]),
      cString('user'),
      Buffer.from('x'),
    ];
    for (const body of bodies) {
      const packet = decodeStartup(opening(protocol30, body));
      assert.deepEqual(packet, {
        kind: 'invalid',
        message: 'invalid startup packet layout: expected terminator as last byte',
        said: 'said',
      });
    }
  });

  test('has between 8 and 10000 bytes', () => {
    assert.deepEqual([-1, 0, 7, 8, MAX_STARTUP_BYTES, MAX_STARTUP_BYTES + 1, 0x7fff_ffff].map(isStartupLength), [
      false,
      false,
      false,
      true,
      true,
      false,
      false,
    ]);
  });
});
