import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, suite, test } from 'node:test';
import { addEnvFile } from '../../../src/config/env-file.ts';

suite('the .env file', () => {
  let folder = '';
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'pprox-env-'));
  });
  afterEach(() => {
    rmSync(folder, { recursive: true });
  });
  const write = (text: string) => writeFileSync(join(folder, '.env'), text);

  test('may be missing', () => {
    const environment = { A: '1' };
    assert.deepEqual(addEnvFile(environment, folder), { kind: 'environment', environment });
  });

  test('adds to the real environment, which wins, even with an empty value', () => {
    write("# comment\nA=file\nB='file # b'\nexport C=file\nD=file # comment\n");
    assert.deepEqual(addEnvFile({ A: 'real', C: '', E: undefined }, folder), {
      kind: 'environment',
      environment: { A: 'real', B: 'file # b', C: '', D: 'file' },
    });
  });

  test('is a problem with its name where it cannot be read', () => {
    mkdirSync(join(folder, '.env'));
    const result = addEnvFile({}, folder);
    assert(result.kind === 'invalid');
    assert.deepEqual(
      result.problems.map(({ variable, message }) => [variable, message]),
      [['.env', `${join(folder, '.env')} cannot be read (EISDIR)`]],
    );
  });

  test('is a problem where a # would cut a value that has no quotes', () => {
    write(
      'PG_READER_DSN=postgres://u:a#b@h\nPG_WRITERS_CSV="postgres://u:a#b@h"\nPPROX_DRAIN=1s # a#b\nPROXY_ADDR=\nOTHER=a#b\n',
    );
    const result = addEnvFile({}, folder);
    assert(result.kind === 'invalid');
    assert.deepEqual(
      result.problems.map(({ variable }) => variable),
      ['PG_READER_DSN'],
    );
    assert.equal(addEnvFile({ PG_READER_DSN: 'host=h' }, folder).kind, 'environment');
  });
});
