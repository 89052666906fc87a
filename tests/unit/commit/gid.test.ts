import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { formatGid, type Gid, parseGid, TransactionIds } from '../../../src/commit/gid.ts';

const digits = (max: bigint) => fc.bigInt({ min: 0n, max }).map(String);
const gids: fc.Arbitrary<Gid> = fc
  .tuple(digits(2n ** 64n - 1n), digits(2n ** 32n - 1n), fc.uuid(), fc.nat(9999))
  .map(([systemIdentifier, databaseOid, id, follower]) => ({ home: { systemIdentifier, databaseOid }, id, follower }));

const example: Gid = {
  home: { systemIdentifier: '7434012345678901234', databaseOid: '16384' },
  id: '0b2f6c1e-8d4a-8f3b-8000-00000000002a',
  follower: 1,
};
const name = 'pprox_7434012345678901234_16384_0b2f6c1e-8d4a-8f3b-8000-00000000002a_1';

suite('the name of a prepared transaction', () => {
  test('says whose it is, and nothing is lost in it', () => {
    assert.equal(formatGid(example), name);
    assert.deepEqual(parseGid(name), example);
    fc.assert(fc.property(gids, (gid) => assert.deepEqual(parseGid(formatGid(gid)), gid)));
  });

  test('differs where the cluster, the database, the transaction or the follower does', () => {
    fc.assert(
      fc.property(gids, gids, (one, other) => {
        const same = JSON.stringify(one) === JSON.stringify(other);
        assert.equal(formatGid(one) === formatGid(other), same);
      }),
    );
    const others: readonly Gid[] = [
      { ...example, home: { ...example.home, systemIdentifier: '7434012345678901235' } },
      { ...example, home: { ...example.home, databaseOid: '16385' } },
      // What is told apart by the place of a separator alone.
      { ...example, home: { systemIdentifier: '743401234567890123', databaseOid: '416384' } },
      { ...example, id: '0b2f6c1e-8d4a-8f3b-8000-00000000002b' },
      { ...example, follower: 2 },
      { ...example, follower: 11 },
    ];
    assert.equal(new Set([example, ...others].map(formatGid)).size, others.length + 1);
  });

  test('is shorter than PREPARE TRANSACTION takes, and needs no quoting', () => {
    fc.assert(
      fc.property(gids, (gid) => {
        const text = formatGid(gid);
        assert.ok(Buffer.byteLength(text) < 200);
        assert.match(text, /^[a-z0-9_-]+$/);
      }),
    );
  });

  test('is no other program’s, however like it that is', () => {
    const strangers = [
      '',
      'pprox_',
      'pprox_or_so',
      name.toUpperCase(),
      ` ${name}`,
      `${name} `,
      `${name}\n`,
      `x${name}`,
      `${name}x`,
      `${name}_2`,
      name.replace('pprox_', 'pprox-'),
      name.replaceAll('-', ''),
      name.replace('0b2f', '0B2F'),
      name.replace('0b2f', '0b2g'),
      name.replace('_16384', ''),
      name.replace('_16384', '_-1'),
      name.replace('_16384', "_1' OR '1"),
      name.replace('7434012345678901234', '743401234567890123456'),
      name.replace(/_1$/, ''),
      name.replace(/_1$/, '_12345'),
    ];
    assert.deepEqual(
      strangers.filter((text) => parseGid(text) !== undefined),
      [],
    );
    fc.assert(fc.property(fc.string(), (text) => parseGid(text) === undefined));
  });
});

suite('ids of transactions', () => {
  test('are UUIDs of version 8 in the order of their making, none of them twice', () => {
    const ids = new TransactionIds();
    const made = Array.from({ length: 70_000 }, () => ids.next());
    assert.deepEqual(made, made.toSorted());
    assert.equal(new Set(made).size, made.length);
    for (const id of [made[0], made.at(-1)])
      assert.match(id ?? '', /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  });

  test('of a process are its own, also after a restart or a restore, which draws anew', () => {
    const processes = Array.from({ length: 1000 }, () => new TransactionIds());
    const first = processes.map((ids) => ids.next());
    assert.equal(new Set(first).size, first.length);
    const [one, other] = processes;
    assert.ok(one !== undefined && other !== undefined);
    assert.ok(one.owns(one.next()));
    assert.ok(!one.owns(other.next()));
  });

  test('have sixty random bits: any of them tells two processes apart', () => {
    const bits = Array.from({ length: 64 }, (_, bit) => bit).filter((bit) => {
      const drawn = Buffer.alloc(8);
      drawn.writeUInt8(1 << (bit % 8), Math.floor(bit / 8));
      return new TransactionIds(() => drawn).next() !== new TransactionIds(() => Buffer.alloc(8)).next();
    });
    assert.equal(bits.length, 60);
  });
});
