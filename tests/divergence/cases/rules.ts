/** What stands behind rules and views: conditions, actions and queries that the statement's text does not show. */
import type { Case } from '../case.ts';
import { fresh } from '../keys.ts';

const ROWS = `CREATE TABLE t (id int PRIMARY KEY, grp int NOT NULL, n int NOT NULL DEFAULT 0, x text);
  INSERT INTO t SELECT g, g % 3 FROM generate_series(1, 9) g; CREATE TABLE log (t int, n int)`;
const LUCKY = `CREATE FUNCTION lucky() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN new.luck := random(); RETURN new; END $$`;

export const ruleCases: readonly Case[] = [
  {
    name: 'serials of a table whose rules keep what is deleted',
    schema: `CREATE TABLE t (id serial PRIMARY KEY, n int, at timestamptz DEFAULT clock_timestamp(), gone boolean DEFAULT false);
      CREATE RULE kept AS ON DELETE TO t DO INSTEAD UPDATE t SET gone = true WHERE id = old.id AND NOT t.gone`,
    step: (random) =>
      random.chance(0.4)
        ? [`DELETE FROM t WHERE n = ${random.below(6)}`]
        : [`INSERT INTO t (n) VALUES (${random.below(6)}), (${random.below(6)})`],
    bites: true,
  },
  {
    name: 'a rule with a condition that varies',
    schema: `${ROWS}; CREATE RULE noted AS ON UPDATE TO t WHERE random() < 0.5 DO ALSO INSERT INTO log VALUES (new.id, new.n)`,
    step: (random, client, round) =>
      random.chance(0.5)
        ? [`INSERT INTO t (id, grp) VALUES (${fresh(client, round)}, ${random.below(3)})`]
        : [`UPDATE t SET n = n + 1 WHERE grp = ${random.below(3)}`],
    bites: true,
  },
  {
    name: 'a rule into a table with defaults that vary',
    schema: `${ROWS}; ALTER TABLE log ADD at timestamptz DEFAULT now(), ADD luck float8 DEFAULT random();
      CREATE RULE noted AS ON UPDATE TO t DO ALSO INSERT INTO log VALUES (new.id, new.n)`,
    step: (random, client, round) =>
      random.chance(0.5)
        ? [`INSERT INTO t (id, grp) VALUES (${fresh(client, round)}, ${random.below(3)})`]
        : [`UPDATE t SET n = n + 1 WHERE id = ${random.whole(1, 9)}`],
    bites: true,
  },
  {
    name: 'a rule that gives a domain its default',
    schema: `${ROWS}; CREATE DOMAIN luck AS float8 DEFAULT random(); CREATE TABLE thrown (t int, luck luck); INSERT INTO thrown SELECT g FROM generate_series(1, 9) g;
      CREATE RULE noted AS ON UPDATE TO t DO ALSO UPDATE thrown SET luck = DEFAULT WHERE thrown.t = new.id`,
    step: (random) =>
      random.chance(0.5)
        ? [`DELETE FROM t WHERE id = ${random.whole(1, 9)}`]
        : [`UPDATE t SET n = n + 1 WHERE id = ${random.whole(1, 9)}`],
    bites: true,
  },
  {
    name: 'a rule into a table with triggers',
    schema: `${ROWS}; CREATE TABLE audit (t int, rows bigint);
      CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO audit SELECT new.t, count(*) FROM log; RETURN new; END $$;
      CREATE TRIGGER note AFTER INSERT ON log FOR EACH ROW EXECUTE FUNCTION note();
      CREATE RULE noted AS ON UPDATE TO t DO ALSO INSERT INTO log VALUES (new.id, new.n);
      CREATE RULE came AS ON INSERT TO t DO ALSO INSERT INTO log VALUES (new.id, -1)`,
    step: (random, client, round) =>
      random.chance(0.4)
        ? [`INSERT INTO t (id, grp) VALUES (${fresh(client, round)}, ${random.below(3)})`]
        : [`UPDATE t SET n = n + 1 WHERE id >= ${random.whole(1, 9)}`],
    bites: true,
  },
  {
    name: 'a rule into a table with a trigger that varies',
    schema: `${ROWS}; ALTER TABLE log ADD luck float8; ${LUCKY}; CREATE TRIGGER lucky BEFORE INSERT ON log FOR EACH ROW EXECUTE FUNCTION lucky();
      CREATE RULE noted AS ON UPDATE TO t DO ALSO INSERT INTO log VALUES (new.id, new.n)`,
    step: (random) =>
      random.chance(0.5)
        ? [`DELETE FROM t WHERE id = ${random.whole(1, 9)}`]
        : [`UPDATE t SET n = n + 1 WHERE id = ${random.whole(1, 9)}`],
    bites: true,
  },
  {
    name: 'rules that look at other rows',
    schema: `${ROWS}; CREATE RULE noted AS ON UPDATE TO t DO ALSO INSERT INTO log VALUES (new.id, (SELECT sum(n) FROM log));
      CREATE RULE came AS ON INSERT TO t DO ALSO INSERT INTO log VALUES (new.id, (SELECT count(*) FROM log))`,
    step: (random, client, round) => {
      const luck = random.next();
      if (luck < 0.3) return [`INSERT INTO t (id, grp) VALUES (${fresh(client, round)}, ${random.below(3)})`];
      if (luck < 0.6) return [`INSERT INTO log VALUES (0, ${client})`];
      return [`UPDATE t SET n = n + 1 WHERE id = ${random.whole(1, 9)}`];
    },
    bites: true,
  },
  {
    name: 'a rule that takes rows as they come',
    schema: `${ROWS}; CREATE RULE noted AS ON UPDATE TO t DO ALSO INSERT INTO log SELECT s.t, s.n FROM log s LIMIT 1; INSERT INTO log VALUES (1, 1)`,
    step: (random, client, round) =>
      random.chance(0.5)
        ? [`UPDATE log SET n = ${round} WHERE t = ${client}`, `INSERT INTO log VALUES (${client}, ${round})`]
        : [`UPDATE t SET n = n + 1 WHERE id = ${random.whole(1, 9)}`],
  },
  {
    name: 'a change through a view that reads a view with LIMIT',
    schema: `${ROWS}; CREATE VIEW v AS SELECT * FROM t; CREATE VIEW one AS SELECT n FROM log LIMIT 1; INSERT INTO log VALUES (0, 0)`,
    step: (random, client, round) => {
      const luck = random.next();
      if (luck < 0.4) return [`INSERT INTO log VALUES (${client}, ${round})`];
      if (luck < 0.6) return [`UPDATE t SET n = (SELECT n FROM one) WHERE id = ${random.whole(1, 9)}`];
      if (luck < 0.8) return [`UPDATE v SET n = (SELECT n FROM one) WHERE id = ${random.whole(1, 9)}`];
      return [`DELETE FROM log WHERE t = ${client}`];
    },
    // Where it is empty.
    expects: ['23502'],
  },
  {
    name: 'a change through a view of a table with triggers',
    schema: `${ROWS}; ALTER TABLE t ADD luck float8; ${LUCKY}; CREATE TRIGGER lucky BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION lucky();
      CREATE VIEW v AS SELECT id, grp, n FROM t`,
    step: (random, client, round) =>
      random.chance(0.5)
        ? [`INSERT INTO v VALUES (${fresh(client, round)}, ${random.below(3)}, 0)`]
        : [`UPDATE v SET n = n + 1 WHERE id = ${random.whole(1, 9)}`],
    bites: true,
  },
  {
    name: 'a rule that a foreign key sets off',
    schema: `${ROWS}; CREATE TABLE child (id int PRIMARY KEY, t int REFERENCES t ON DELETE CASCADE);
      CREATE RULE gone AS ON DELETE TO child DO ALSO INSERT INTO log VALUES (old.id, (SELECT count(*) FROM log))`,
    step: (random, client, round) => [
      `INSERT INTO t VALUES (${fresh(client, round)}, 0)`,
      `INSERT INTO child VALUES (${fresh(client, round)}, ${fresh(client, round)})`,
      ...(random.chance(0.8) ? [`DELETE FROM t WHERE id = ${fresh(client, round)}`] : []),
    ],
    bites: true,
  },
];
