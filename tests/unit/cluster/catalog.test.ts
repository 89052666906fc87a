import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { OwnStatement } from '../../../src/backend/own-message.ts';
import type { Answer } from '../../../src/backend/receiver.ts';
import { BINDING_FUNCTIONS } from '../../../src/cluster/facts-queries.ts';
import { Catalog, TTL_MS } from '../../../src/cluster/catalog.ts';
import type { CatalogAsker } from '../../../src/cluster/catalog-asker.ts';
import { OwnKnowledge } from '../../../src/cluster/own-knowledge.ts';
import { PproxError } from '../../../src/lib/errors.ts';

const READY = 0x49;

/** A lead that knows one thing: whether a constraint of its database may be deferred. */
class Lead implements CatalogAsker {
  scope = 'a';
  caching: CatalogAsker['caching'] = 'allowed';
  readonly settingsOfFunctions = 'known';
  readonly temporaries = 'none';
  readonly own = new OwnKnowledge();
  snapshot: CatalogAsker['snapshot'];
  asked = 0;
  deferrable = 'f';
  functions = 'these';
  /** Called with each question, before it is answered. */
  meanwhile: () => void = () => undefined;

  askOften({ text }: OwnStatement): Promise<Answer> {
    return this.ask(text);
  }

  ask(text: string): Promise<Answer> {
    this.asked++;
    const rest = ['[]', '[]', '[]', '[]', 'f', 'f', '18', 'f', 'f', 'f', '[]', '[]', '{}', this.functions];
    const facts = ['["f"]', '[]', '[]', '["v"]', this.deferrable, 'f', ...rest];
    const rows = [text === BINDING_FUNCTIONS ? ['[]', '[]', '[]', '[]'] : facts];
    this.meanwhile();
    return Promise.resolve({ rows, tags: ['SELECT 1'], error: undefined, status: READY });
  }
}

describe('what is known of a catalog', () => {
  test('is asked once, for each scope', async () => {
    const [catalog, one, other] = [new Catalog(), new Lead(), Object.assign(new Lead(), { scope: 'b' })];
    for (const lead of [one, one, other, one]) {
      assert.deepEqual([...(await catalog.facts(lead)).volatileFunctions], ['f']);
    }
    assert.deepEqual([one.asked, other.asked], [2, 1], 'and once for both, what functions leave with their session');
  });

  test('what functions leave with their session is asked for others than those', async () => {
    const [catalog, lead] = [new Catalog(), new Lead()];
    for (const functions of ['these', 'these', 'others']) {
      lead.functions = functions;
      await catalog.facts(lead);
      catalog.forget();
    }
    assert.equal(lead.asked, 3 + 2);
  });

  test('is asked again after a definition', async () => {
    const [catalog, lead] = [new Catalog(), new Lead()];
    assert.equal(await catalog.deferrable(lead), false);
    lead.deferrable = 't';
    assert.equal(await catalog.deferrable(lead), false);
    catalog.forget();
    assert.equal(await catalog.deferrable(lead), true);
  });

  test('is not kept where a definition came while it was asked', async () => {
    const [catalog, lead] = [new Catalog(), new Lead()];
    lead.meanwhile = () => {
      lead.deferrable = 't';
      catalog.forget();
    };
    assert.equal(await catalog.deferrable(lead), false);
    lead.meanwhile = () => undefined;
    assert.equal(await catalog.deferrable(lead), true);
  });

  test('is neither used nor kept by a session that sees a catalog of its own', async () => {
    const [catalog, lead] = [new Catalog(), new Lead()];
    lead.caching = 'forbidden';
    lead.deferrable = 't';
    assert.equal(await catalog.deferrable(lead), true);
    lead.caching = 'allowed';
    lead.deferrable = 'f';
    assert.equal(await catalog.deferrable(lead), false);
    lead.caching = 'forbidden';
    lead.deferrable = 't';
    assert.equal(await catalog.deferrable(lead), true);
  });

  test('is as old as the transaction that has read it, where that reads an older state', async () => {
    const [catalog, older, newer] = [new Catalog(), new Lead(), new Lead()];
    older.snapshot = catalog.moment;
    catalog.forget();
    newer.deferrable = 't';
    assert.equal(await catalog.deferrable(older), false);
    assert.equal(await catalog.deferrable(newer), true, 'not what the older one has read');
    catalog.forget();
    older.snapshot = { ...catalog.moment, since: Date.now() - TTL_MS };
    assert.equal(await catalog.deferrable(older), false);
    assert.equal(await catalog.deferrable(newer), true, 'nor what was read long ago');
  });

  test('is an error where it cannot be asked, and asked again next time', async () => {
    const [catalog, lead] = [new Catalog(), new Lead()];
    const refused = (): Promise<Answer> =>
      Promise.resolve({
        rows: [],
        tags: [],
        error: { severity: 'ERROR', code: '42501', message: 'permission denied' },
        status: READY,
      });
    const failing: CatalogAsker = {
      scope: 'a',
      caching: 'allowed',
      settingsOfFunctions: 'known',
      temporaries: 'none',
      own: new OwnKnowledge(),
      snapshot: undefined,
      ask: refused,
      askOften: refused,
    };
    await assert.rejects(catalog.facts(failing), (error) => {
      return error instanceof PproxError && error.sqlstate === '42501' && /permission denied/.test(error.message);
    });
    assert.equal(await catalog.deferrable(lead), false);
  });
});
