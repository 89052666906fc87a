import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { suite, test } from 'node:test';
import { parse } from 'dotenv';
import { loadConfig } from '../../../src/config/load.ts';
import { renderDsnParameters, renderExample, renderVariables } from '../../../src/config/reference.ts';
import { settings, variables } from '../../../src/config/settings.ts';

const missing = () => ({ kind: 'missing' }) as const;
const files = { isFolder: () => false, readPassfile: missing, readTextFile: missing };

/** From dist/tests/unit/config. */
const root = new URL('../../../../', import.meta.url);
const example = new URL('.env.example', root);
const page = new URL('docs/reference/configuration.md', root);

const tables = { variables: renderVariables(), 'connection parameters': renderDsnParameters() };

/** `PPROX_TEST_UPDATE=1` writes what the tables say instead of comparing it. */
const update = process.env['PPROX_TEST_UPDATE'] === '1';

function replaceTable(text: string, name: string, table: string): string {
  const [begin, end] = [`<!-- ${name}: from the code -->`, `<!-- end of ${name} -->`];
  assert(text.includes(begin) && text.includes(end), `the page has no place for ${name}`);
  return `${text.slice(0, text.indexOf(begin) + begin.length)}\n\n${table}\n\n${text.slice(text.indexOf(end))}`;
}

suite('the reference', () => {
  test('.env.example has every variable with its default, as the code has it', () => {
    if (update) writeFileSync(example, renderExample());
    assert.equal(readFileSync(example, 'utf8'), renderExample());
  });

  test('docs/reference/configuration.md has the tables of the code', () => {
    const text = readFileSync(page, 'utf8');
    const expected = Object.entries(tables).reduce((filled, [name, table]) => replaceTable(filled, name, table), text);
    if (update) writeFileSync(page, expected);
    assert.equal(readFileSync(page, 'utf8'), expected);
  });

  test('.env.example as it stands sets nothing, and starts the demo with every default', () => {
    assert.deepEqual(parse(renderExample()), {});
  });

  test('.env.example with every line in force is a configuration without a problem or a surprise', () => {
    const environment = parse(renderExample().replaceAll(/^#(?=[A-Z_]+=)/gm, ''));
    assert.deepEqual(
      Object.keys(environment),
      variables.map(({ variable }) => variable),
    );
    const result = loadConfig(environment, { files });
    const standard = loadConfig({}, { files });
    assert(result.kind === 'config' && standard.kind === 'demo', JSON.stringify(result));
    assert.deepEqual(result.config.settings, standard.demo.settings);
    assert.equal(result.config.warnings.length, 1);
  });

  test('each setting has the variable that its name amounts to', () => {
    for (const [name, { variable }] of Object.entries(settings)) {
      const words = name.replace(/Ms$/, '').replaceAll(/[A-Z]/g, '_$&');
      assert.equal(variable, `PPROX_${words.toUpperCase()}`);
    }
  });
});
