import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { FrameError, FrameScanner, type FrameSink, Watch, type WatchTable } from '../../../src/wire/frame-scan.ts';
import { frame } from '../../support/frontend-messages.ts';

const TAKE = 'C'.charCodeAt(0);
const TAP = 'T'.charCodeAt(0);

/** What the scanner makes of a stream: taken frames, and the runs between them joined. */
type Seen =
  | { readonly kind: 'run'; bytes: Buffer }
  | { readonly kind: 'taken'; readonly tag: number; readonly bytes: Buffer };

class Recorder implements FrameSink {
  readonly watch: WatchTable = new Uint8Array(256);
  readonly seen: Seen[] = [];
  readonly tapped: Buffer[] = [];
  readonly #pieces: Buffer[] = [];

  constructor() {
    this.watch[TAKE] = Watch.take;
    this.watch[TAP] = Watch.tap;
  }

  run(chunk: Buffer, start: number, end: number): void {
    assert.ok(end > start, 'no run is empty');
    const bytes = Buffer.from(chunk.subarray(start, end));
    const last = this.seen.at(-1);
    if (last?.kind === 'run') last.bytes = Buffer.concat([last.bytes, bytes]);
    else this.seen.push({ kind: 'run', bytes });
  }

  take(tag: number, chunk: Buffer, start: number, end: number): void {
    this.seen.push({ kind: 'taken', tag, bytes: Buffer.from(chunk.subarray(start, end)) });
  }

  tap(tag: number, chunk: Buffer, start: number, end: number, last: boolean): void {
    assert.equal(tag, TAP);
    this.#pieces.push(Buffer.from(chunk.subarray(start, end)));
    if (last) this.tapped.push(Buffer.concat(this.#pieces.splice(0)));
  }
}

/** The same, worked out from whole frames. */
function expected(frames: readonly Buffer[]): Recorder {
  const recorder = new Recorder();
  for (const bytes of frames) {
    const tag = bytes[0] ?? 0;
    if (tag === TAKE) recorder.take(tag, bytes, 0, bytes.length);
    else recorder.run(bytes, 0, bytes.length);
    if (tag === TAP) recorder.tap(tag, bytes, 0, bytes.length, true);
  }
  return recorder;
}

function scanned(stream: Buffer, cuts: readonly number[]): Recorder {
  const recorder = new Recorder();
  const scanner = new FrameScanner();
  let from = 0;
  for (const cut of [...cuts, stream.length]) {
    scanner.scan(Buffer.from(stream.subarray(from, cut)), () => recorder);
    from = cut;
  }
  assert.equal(scanner.insideFrame, false);
  return recorder;
}

const frames = [
  frame('D', Buffer.alloc(0)),
  frame('D', Buffer.from('a row')),
  frame('C', Buffer.from('SELECT 1\0')),
  frame('C', Buffer.alloc(0)),
  frame('T', Buffer.from('shown')),
  frame('T', Buffer.alloc(0)),
  frame('D', Buffer.from('another')),
];

describe('the frame scanner', () => {
  test('gives the same frames and runs wherever the stream is cut once', () => {
    const stream = Buffer.concat(frames);
    const whole = expected(frames);
    for (let cut = 0; cut <= stream.length; cut++) assert.deepEqual(scanned(stream, [cut]), whole, `cut at ${cut}`);
  });

  test('gives the same frames and runs byte by byte', () => {
    const stream = Buffer.concat(frames);
    const cuts = Array.from({ length: stream.length }, (_, index) => index);
    assert.deepEqual(scanned(stream, cuts), expected(frames));
  });

  test('gives the same frames and runs for any stream and any cuts', () => {
    const anyFrame = fc
      .tuple(fc.constantFrom('D', 'C', 'T'), fc.uint8Array({ maxLength: 40 }))
      .map(([tag, body]) => frame(tag, body));
    fc.assert(
      fc.property(fc.array(anyFrame, { maxLength: 12 }), fc.array(fc.nat(400), { maxLength: 20 }), (some, at) => {
        const stream = Buffer.concat(some);
        const cuts = at.map((cut) => Math.min(cut, stream.length)).sort((a, b) => a - b);
        assert.deepEqual(scanned(stream, cuts), expected(some));
      }),
    );
  });

  test('forwards a run of whole frames as the chunk that came, without copying it', () => {
    const chunk = Buffer.concat([frames[0] ?? '', frames[1] ?? '', frames[6] ?? ''].map((bytes) => Buffer.from(bytes)));
    const runs: { chunk: Buffer; start: number; end: number }[] = [];
    const sink: FrameSink = {
      watch: new Uint8Array(256),
      run: (from, start, end) => runs.push({ chunk: from, start, end }),
      take: () => assert.fail('nothing is watched'),
      tap: () => assert.fail('nothing is watched'),
    };
    new FrameScanner().scan(chunk, () => sink);
    assert.equal(runs.length, 1);
    assert.equal(runs[0]?.chunk, chunk);
    assert.deepEqual([runs[0]?.start, runs[0]?.end], [0, chunk.length]);
  });

  test('asks for the sink again behind each taken frame, so that one chunk may hold the replies of two queries', () => {
    const recorders = [new Recorder(), new Recorder()];
    let at = 0;
    const sink = (): Recorder => recorders[at] ?? assert.fail('two replies only');
    for (const recorder of recorders) {
      const take = recorder.take.bind(recorder);
      recorder.take = (...frameOf) => {
        take(...frameOf);
        at = Math.min(at + 1, 1);
      };
    }
    const [row, done] = [frame('D', Buffer.from('r')), frame('C', Buffer.alloc(0))];
    new FrameScanner().scan(Buffer.concat([row, done, row, done]), sink);
    for (const { seen } of recorders)
      assert.deepEqual(
        seen.map(({ kind }) => kind),
        ['run', 'taken'],
      );
  });

  test('says whether what was forwarded ends inside a frame', () => {
    const scanner = new FrameScanner();
    const recorder = new Recorder();
    const bytes = frame('D', Buffer.from('12345'));
    const states: boolean[] = [];
    for (const byte of bytes) {
      scanner.scan(Buffer.of(byte), () => recorder);
      states.push(scanner.insideFrame);
    }
    assert.deepEqual(states, [...Array.from({ length: 9 }, () => true), false]);
  });

  test('refuses a length that no message has', () => {
    for (const length of [3, 0, -1]) {
      const scan = (): void => new FrameScanner().scan(frame('D', Buffer.alloc(0), length), () => new Recorder());
      assert.throws(scan, FrameError);
    }
  });

  test('holds no taken frame of more than 64 MiB, whatever its length says', () => {
    const scanner = new FrameScanner();
    const recorder = new Recorder();
    scanner.scan(frame('C', Buffer.alloc(0), 0x7fff_ffff), () => recorder);
    const mebibyte = Buffer.alloc(1024 * 1024);
    for (let count = 0; count < 63; count++) scanner.scan(mebibyte, () => recorder);
    assert.throws(() => scanner.scan(mebibyte, () => recorder), FrameError);
    assert.deepEqual(recorder.seen, []);
  });

  test('passes an unwatched frame of any size without holding it', () => {
    const scanner = new FrameScanner();
    let passed = 0;
    const sink: FrameSink = {
      watch: new Uint8Array(256),
      run: (_chunk, start, end) => {
        passed += end - start;
      },
      take: () => assert.fail('nothing is watched'),
      tap: () => assert.fail('nothing is watched'),
    };
    const mebibyte = Buffer.alloc(1024 * 1024);
    scanner.scan(frame('D', Buffer.alloc(0), 300 * mebibyte.length + 4), () => sink);
    for (let count = 0; count < 300; count++) scanner.scan(mebibyte, () => sink);
    assert.equal(passed, 300 * mebibyte.length + 5);
    assert.equal(scanner.insideFrame, false);
  });
});
