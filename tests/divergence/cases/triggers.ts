/** What runs by itself: triggers, rules, views, policies. */
import type { Case } from '../case.ts';
import { ROLE } from '../role.ts';
import { fresh } from '../keys.ts';

const ROWS = `CREATE TABLE t (id int PRIMARY KEY, grp int NOT NULL, n int NOT NULL DEFAULT 0, x text);
  INSERT INTO t SELECT g, g % 3 FROM generate_series(1, 9) g`;
const VIEW = `${ROWS}; CREATE VIEW v AS SELECT id, grp, n FROM t WHERE grp < 2`;

export const triggerCases: readonly Case[] = [
  {
    name: 'a trigger before that changes the row',
    schema: `${ROWS}; CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN new.x := new.n || '!'; new.n := new.n + 1; RETURN new; END $$;
      CREATE TRIGGER shout BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION shout()`,
    step: (random, client, round) =>
      random.chance(0.4)
        ? [`INSERT INTO t (id, grp) VALUES (${fresh(client, round)}, ${random.below(3)})`]
        : [`UPDATE t SET n = n + 1 WHERE grp = ${random.below(3)}`],
    bites: true,
  },
  {
    name: 'a trigger that writes to the end of an audit of two megabytes',
    schema: `${ROWS}; CREATE TABLE audit (id serial PRIMARY KEY, what text, at timestamptz DEFAULT clock_timestamp());
      CREATE TABLE bare (what text, luck float8); INSERT INTO audit (what) SELECT repeat('x', 500) FROM generate_series(1, 4000);
      INSERT INTO bare SELECT repeat('x', 500), 0 FROM generate_series(1, 4000);
      CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO audit (what) VALUES ('of ' || new.id), ('again'); INSERT INTO bare VALUES (new.n, random()); RETURN new; END $$;
      CREATE TRIGGER note AFTER UPDATE ON t FOR EACH ROW EXECUTE FUNCTION note()`,
    step: (random, client) => [
      `UPDATE t SET n = n + 1 WHERE grp = ${random.below(3)}`,
      ...(random.chance(0.4) ? [`INSERT INTO bare VALUES ('${client}', 1), ('${client}', 2)`] : []),
      ...(random.chance(0.4) ? [`UPDATE t SET n = n + 1 WHERE id = ${random.whole(1, 9)}`] : []),
    ],
    bites: true,
  },
  {
    name: 'a trigger before that looks elsewhere',
    schema: `${ROWS}; CREATE TABLE price (n int NOT NULL); INSERT INTO price VALUES (0);
      CREATE FUNCTION priced() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN new.n := (SELECT n FROM price); RETURN new; END $$;
      CREATE TRIGGER priced BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION priced()`,
    step: (random) =>
      random.chance(0.5) ? ['UPDATE price SET n = n + 1'] : [`UPDATE t SET x = 'p' WHERE id = ${random.whole(1, 9)}`],
    bites: true,
  },
  {
    name: 'a trigger before that keeps the moment',
    schema: `CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL DEFAULT 0, at timestamptz); INSERT INTO t SELECT generate_series(1, 4);
      CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN new.at := now(); RETURN new; END $$;
      CREATE TRIGGER touch BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION touch()`,
    step: (random) => [`UPDATE t SET n = n + 1 WHERE id = ${random.whole(1, 4)}`],
    mustCommit: 'no',
    bites: true,
  },
  {
    name: 'a trigger after that writes an audit with serial and now',
    schema: `${ROWS}; CREATE TABLE audit (id serial PRIMARY KEY, t int, n int, at timestamptz DEFAULT now());
      CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO audit (t, n) VALUES (new.id, new.n); RETURN NULL; END $$;
      CREATE TRIGGER note AFTER INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION note()`,
    step: (random) => [`UPDATE t SET n = n + 1 WHERE id = ${random.whole(1, 9)}`],
    bites: true,
  },
  {
    name: 'a trigger after that writes an audit with serial',
    schema: `${ROWS}; CREATE TABLE audit (id serial PRIMARY KEY, t int, n int);
      CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO audit (t, n) VALUES (new.id, new.n); RETURN NULL; END $$;
      CREATE TRIGGER note AFTER INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION note()`,
    step: (random) => [`UPDATE t SET n = n + 1 WHERE id >= ${random.whole(5, 9)}`],
    bites: true,
  },
  {
    name: 'a trigger after that writes an audit with a moment of its own',
    schema: `${ROWS}; CREATE TABLE audit (t int, n int, at timestamptz);
      CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO audit VALUES (new.id, new.n, clock_timestamp()); RETURN NULL; END $$;
      CREATE TRIGGER note AFTER INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION note()`,
    step: (random) => [`UPDATE t SET n = n + 1 WHERE id = ${random.whole(1, 9)}`],
    bites: true,
  },
  {
    name: 'a trigger after an insert that keeps a count',
    schema: `${ROWS}; CREATE TABLE counted (grp int PRIMARY KEY, rows int NOT NULL); INSERT INTO counted SELECT g, 3 FROM generate_series(0, 2) g;
      CREATE FUNCTION counting() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        UPDATE counted SET rows = (SELECT count(*) FROM t WHERE grp = new.grp) WHERE grp = new.grp; RETURN NULL; END $$;
      CREATE TRIGGER counting AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION counting()`,
    step: (random, client, round) => [`INSERT INTO t (id, grp) VALUES (${fresh(client, round)}, ${random.below(3)})`],
    bites: true,
  },
  {
    name: 'a trigger of a statement with its rows',
    schema: `${ROWS}; CREATE TABLE audit (rows bigint, n bigint);
      CREATE FUNCTION summed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO audit SELECT count(*), sum(n) FROM changed; RETURN NULL; END $$;
      CREATE TRIGGER summed AFTER UPDATE ON t REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION summed()`,
    step: (random) =>
      random.chance(0.5)
        ? [`UPDATE t SET n = n + 1 WHERE grp = ${random.below(3)}`]
        : [`UPDATE t SET grp = ${random.below(3)} WHERE id = ${random.whole(1, 9)}`],
    bites: true,
  },
  {
    name: 'a deferred constraint trigger that writes',
    schema: `${ROWS}; CREATE TABLE audit (t int, rows bigint);
      CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO audit SELECT new.id, (SELECT sum(n) FROM t); RETURN NULL; END $$;
      CREATE CONSTRAINT TRIGGER late AFTER UPDATE ON t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION late()`,
    step: (random) => [`UPDATE t SET n = n + 1 WHERE id = ${random.whole(1, 9)}`],
  },
  {
    name: 'a trigger that forbids some rows',
    schema: `${ROWS}; CREATE FUNCTION silent() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF (SELECT count(*) FROM t WHERE grp = new.grp) > 4 THEN RETURN NULL; END IF; RETURN new; END $$;
      CREATE TRIGGER silent BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION silent()`,
    step: (random, client, round) => {
      const luck = random.next();
      if (luck < 0.4) return [`INSERT INTO t (id, grp) VALUES (${fresh(client, round)}, ${random.below(3)})`];
      if (luck < 0.6) return [`DELETE FROM t WHERE id > 1000 AND grp = ${random.below(3)}`];
      return [`UPDATE t SET grp = ${random.below(3)} WHERE id = ${random.whole(1, 9)}`];
    },
    bites: true,
  },
  {
    name: 'a view that is updated through',
    schema: VIEW,
    step: (random, client, round) => {
      const luck = random.next();
      if (luck < 0.3) return [`INSERT INTO v VALUES (${fresh(client, round)}, ${random.below(3)}, 0)`];
      if (luck < 0.7) return [`UPDATE v SET n = n + 1 WHERE grp = ${random.below(3)}`];
      if (luck < 0.9) return [`UPDATE t SET grp = ${random.below(3)} WHERE id = ${random.whole(1, 9)}`];
      return ['DELETE FROM v WHERE n > 3 AND id > 1000'];
    },
    bites: true,
  },
  {
    name: 'a view with an instead of trigger',
    schema: `${VIEW}; CREATE FUNCTION instead() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE t SET n = n + 1 WHERE grp = new.grp; RETURN new; END $$;
      CREATE VIEW w AS SELECT grp, sum(n) AS n FROM t GROUP BY grp; CREATE TRIGGER instead INSTEAD OF UPDATE OR INSERT ON w FOR EACH ROW EXECUTE FUNCTION instead()`,
    step: (random) => {
      const luck = random.next();
      if (luck < 0.3) return [`INSERT INTO w VALUES (${random.below(3)}, 1)`];
      if (luck < 0.6) return [`UPDATE w SET n = 0 WHERE grp = ${random.below(3)}`];
      return [`UPDATE t SET grp = ${random.below(3)} WHERE id = ${random.whole(1, 9)}`];
    },
    bites: true,
  },
  {
    name: 'rules that write too',
    schema: `${ROWS}; CREATE TABLE log (t int, n int); CREATE RULE also AS ON UPDATE TO t WHERE old.n <> new.n DO ALSO INSERT INTO log VALUES (new.id, new.n);
      CREATE RULE kept AS ON DELETE TO t DO INSTEAD UPDATE t SET x = 'deleted' WHERE t.id = old.id`,
    step: (random, client, round) => {
      const luck = random.next();
      if (luck < 0.3) return [`INSERT INTO t (id, grp) VALUES (${fresh(client, round)}, ${random.below(3)})`];
      if (luck < 0.7) return [`UPDATE t SET n = n + 1 WHERE grp = ${random.below(3)}`];
      return [`DELETE FROM t WHERE grp = ${random.below(3)}`];
    },
    bites: true,
  },
  {
    name: 'policies by a setting of the application',
    schema: `${ROWS}; ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON t USING (grp = current_setting('app.grp')::int); GRANT ALL ON t TO ${ROLE}`,
    session: (client) => [`SET app.grp = '${client % 3}'`, `SET ROLE ${ROLE}`],
    step: (random, client, round) =>
      random.chance(0.3)
        ? [`INSERT INTO t (id, grp) VALUES (${fresh(client, round)}, ${client % 3})`]
        : [`UPDATE t SET n = n + ${random.whole(1, 5)}`],
    bites: true,
  },
  {
    name: 'policies that look at another table',
    schema: `${ROWS}; CREATE TABLE allowed (grp int PRIMARY KEY, yes boolean); INSERT INTO allowed SELECT g, true FROM generate_series(0, 2) g;
      ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON t USING (grp IN (SELECT grp FROM allowed WHERE yes)); GRANT ALL ON t, allowed TO ${ROLE}`,
    session: () => [`SET ROLE ${ROLE}`],
    step: (random) =>
      random.chance(0.5)
        ? [`UPDATE allowed SET yes = NOT yes WHERE grp = ${random.below(3)}`]
        : [`UPDATE t SET n = n + 1 WHERE id > ${random.below(6)}`],
    bites: true,
  },
  {
    name: 'serials and times under policies',
    schema: `CREATE TABLE t (id bigserial PRIMARY KEY, tenant int, n int, made timestamptz DEFAULT clock_timestamp()); ALTER TABLE t ENABLE ROW LEVEL SECURITY;
      CREATE POLICY own ON t USING (tenant = current_setting('app.grp')::int); GRANT ALL ON t, t_id_seq TO ${ROLE}`,
    session: (client) => [`SET app.grp = '${client % 3}'`, `SET ROLE ${ROLE}`],
    step: (random, client) =>
      random.chance(0.3)
        ? [`UPDATE t SET n = n + 1 WHERE n = ${random.below(5)}`]
        : random.chance(0.5)
          ? [`INSERT INTO t (tenant, n) VALUES (${client % 3}, ${random.below(5)}), (${client % 3}, 9)`]
          : [`WITH s AS (INSERT INTO t (tenant, n) VALUES (${client % 3}, 1) RETURNING *) SELECT count(*) FROM s`],
    bites: true,
  },
  ...(['', ' PARTITION BY RANGE (t)'] as const).map(
    (partitioned): Case => ({
      name: `triggers that draw for a role with few rights${partitioned === '' ? '' : ', into partitions'}`,
      schema: `${ROWS}; CREATE TABLE audit (id bigserial, t int, luck float8, at timestamptz DEFAULT clock_timestamp())${partitioned};
        ${partitioned === '' ? '' : 'CREATE TABLE few PARTITION OF audit FOR VALUES FROM (0) TO (4); CREATE TABLE rest PARTITION OF audit DEFAULT;'}
        CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO audit (t, luck) VALUES (NEW.id, random()); RETURN NEW; END $$;
        CREATE TRIGGER note AFTER INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION note();
        CREATE FUNCTION forget() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE audit SET luck = random() WHERE t = OLD.id; RETURN OLD; END $$;
        CREATE TRIGGER forget AFTER DELETE ON t FOR EACH ROW EXECUTE FUNCTION forget();
        GRANT ALL ON t, audit TO ${ROLE}; GRANT USAGE ON SEQUENCE audit_id_seq TO ${ROLE}`,
      session: () => [`SET ROLE ${ROLE}`],
      step: (random, client, round) => {
        const luck = random.next();
        if (luck < 0.3) return [`INSERT INTO t (id, grp) VALUES (${fresh(client, round)}, ${random.below(3)})`];
        if (luck < 0.7) return [`UPDATE t SET n = n + 1 WHERE id = ${random.whole(1, 9)}`];
        return luck < 0.85
          ? [`UPDATE t SET n = n + 1 WHERE grp = ${random.below(3)}`]
          : [`DELETE FROM t WHERE id = ${random.whole(1, 9)}`];
      },
      bites: true,
    }),
  ),
  {
    name: 'changes below WITH under policies that look at another table',
    schema: `${ROWS}; CREATE TABLE allowed (grp int PRIMARY KEY, yes boolean); INSERT INTO allowed SELECT g, true FROM generate_series(0, 2) g;
      ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON t USING (grp IN (SELECT grp FROM allowed WHERE yes)); GRANT ALL ON t, allowed TO ${ROLE}`,
    session: () => [`SET ROLE ${ROLE}`],
    step: (random) => {
      const change = `UPDATE t SET n = n + 1 WHERE id = ${random.whole(1, 6)}`;
      if (random.chance(0.5)) return [`UPDATE allowed SET yes = NOT yes WHERE grp = ${random.below(3)}`];
      return random.chance(0.5)
        ? [`WITH u AS (${change}) SELECT 1`]
        : [`WITH u AS (${change} RETURNING *) SELECT json_agg(u) FROM u`];
    },
    bites: true,
  },
  {
    name: 'upserts under policies',
    schema: `CREATE TABLE t (id bigserial PRIMARY KEY, tenant int, code int UNIQUE, n int DEFAULT 0, made timestamptz DEFAULT clock_timestamp());
      ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON t USING (tenant = current_setting('app.grp')::int); GRANT ALL ON t, t_id_seq TO ${ROLE}`,
    session: (client) => [`SET app.grp = '${client % 3}'`, `SET ROLE ${ROLE}`],
    step: (random, client) => {
      const tenant = client % 3;
      const code = (): number => tenant + 3 * random.below(6);
      const luck = random.next();
      if (luck < 0.3)
        return [
          `INSERT INTO t (tenant, code) VALUES (${tenant}, ${code()}) ON CONFLICT (code) DO UPDATE SET n = t.n + 1, made = clock_timestamp()`,
        ];
      if (luck < 0.6)
        return [
          `WITH s AS (INSERT INTO t (tenant, code) SELECT ${tenant}, ${tenant} + 3 * g FROM generate_series(${random.below(3)}, ${random.whole(3, 6)}) g
             ON CONFLICT (code) DO UPDATE SET n = t.n + 1 RETURNING t.*) SELECT json_agg(s) FROM s`,
        ];
      if (luck < 0.8)
        return [
          `WITH u AS (UPDATE t SET n = n + 1 WHERE code < ${random.below(18)} RETURNING t.*) SELECT json_agg(u) FROM u`,
        ];
      return [`WITH d AS (DELETE FROM t WHERE code = ${code()} RETURNING 1) SELECT count(*) FROM d`];
    },
    bites: true,
  },
  {
    name: 'an identity whose sequence the role may not use',
    schema: `CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, who int); GRANT ALL ON t TO ${ROLE}`,
    session: () => [`SET ROLE ${ROLE}`],
    step: (random, client) =>
      random.chance(0.4)
        ? [`INSERT INTO t (who) VALUES (${client}), (${client})`]
        : random.chance(0.5)
          ? [{ copy: 'COPY t (who) FROM STDIN', data: `${client}\n${client}\n` }]
          : [`WITH s AS (INSERT INTO t (who) VALUES (${client}) RETURNING id) SELECT max(id) FROM s`],
    bites: true,
  },
  {
    name: 'a trigger that puts rows into a table that inherits',
    schema: `CREATE TABLE t (id serial, n int, at timestamptz DEFAULT clock_timestamp()); CREATE TABLE t_even (PRIMARY KEY (id), CHECK (n % 2 = 0)) INHERITS (t);
      CREATE TABLE t_odd (PRIMARY KEY (id)) INHERITS (t);
      CREATE FUNCTION part() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.n % 2 = 0 THEN INSERT INTO t_even VALUES (NEW.*); ELSE INSERT INTO t_odd VALUES (NEW.*); END IF; RETURN NULL; END $$;
      CREATE TRIGGER part BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION part()`,
    step: (random) =>
      random.chance(0.3)
        ? [`DELETE FROM t_odd WHERE n = ${random.below(9)}`]
        : [`INSERT INTO t (n) VALUES (${random.below(9)}), (${random.below(9)})`],
    bites: true,
  },
  {
    name: 'a WITH that inserts where triggers fire',
    schema: `CREATE TABLE t (id serial PRIMARY KEY, n int, up timestamptz); CREATE TABLE seen (nr serial PRIMARY KEY, id int, at timestamptz);
      CREATE FUNCTION up() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.up := clock_timestamp(); INSERT INTO seen (id, at) VALUES (NEW.id, NEW.up); RETURN NEW; END $$;
      CREATE TRIGGER up BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION up()`,
    step: (random) =>
      random.chance(0.3)
        ? [`UPDATE t SET n = n + 1 WHERE n = ${random.below(4)}`]
        : [
            `WITH s AS (INSERT INTO t (n) SELECT ${random.below(4)} FROM generate_series(1, ${random.whole(1, 3)}) RETURNING *) SELECT sum(n) FROM s`,
          ],
    bites: true,
  },
  {
    name: 'functions and procedures that are given what varies',
    schema: `CREATE TABLE t (id serial PRIMARY KEY, u uuid, at timestamptz); CREATE FUNCTION add(v timestamptz) RETURNS int LANGUAGE sql AS 'INSERT INTO t (at) VALUES (v) RETURNING id';
      CREATE PROCEDURE put(v uuid, w timestamptz) LANGUAGE plpgsql AS $$ BEGIN INSERT INTO t (u, at) VALUES (v, w); UPDATE t SET at = w WHERE id = (SELECT min(id) FROM t); END $$`,
    step: (random) =>
      random.chance(0.5) ? ['SELECT add(clock_timestamp())'] : ['CALL put(gen_random_uuid(), clock_timestamp())'],
    bites: true,
  },
  {
    name: 'a role that may insert and not select',
    schema: `CREATE TABLE log (id serial, who int, at timestamptz DEFAULT now()); GRANT INSERT ON log TO ${ROLE}; GRANT USAGE ON SEQUENCE log_id_seq TO ${ROLE};
      CREATE TABLE plain (who int, n int); GRANT INSERT ON plain TO ${ROLE}`,
    session: () => [`SET ROLE ${ROLE}`],
    step: (random, client, round) =>
      random.chance(0.5)
        ? [`INSERT INTO log (who) VALUES (${client})`]
        : [`INSERT INTO plain VALUES (${client}, ${round})`],
    bites: true,
  },
];
