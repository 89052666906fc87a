import { script } from '../script.ts';

export const extendedWriteScripts = [
  script(
    'serial and identity columns by extended query',
    String.raw`
CREATE TABLE numbered (id serial PRIMARY KEY, other int GENERATED ALWAYS AS IDENTITY, t text)

> Run (a): INSERT INTO numbered (t) VALUES ($1)
> Sync

> Parse i: INSERT INTO numbered (t) VALUES ($1), ($2) RETURNING id, other, t
> Describe statement i
> Bind "" i (b, c)
> Execute
> Bind "" i (d, e) results 1
> Execute
> Bind "" i (f, NULL) results 1,0,1
> Execute
> Sync

!22012
> Bind "" i (rolled, back)
> Execute
> Run: SELECT 1/0
> Sync

> Bind "" i (after, 'the gap') results 1
> Execute
> Sync

> Run: SELECT currval('numbered_id_seq'), lastval()
> Sync

!428C9
> Run (9): INSERT INTO numbered (other) VALUES ($1)
> Sync

> Run (90, x): INSERT INTO numbered (id, t) VALUES ($1, $2) RETURNING *
> Sync

> Run: SELECT nextval('numbered_id_seq')
> Sync

SELECT * FROM numbered ORDER BY id`,
  ),
  script(
    'a statement is described between Bind and Execute',
    String.raw`
CREATE TABLE asked (id serial PRIMARY KEY, v int)

> Parse: INSERT INTO asked (v) VALUES ($1) RETURNING id
> Bind p "" (7)
> Describe statement
> Execute p
> Bind "" "" (8)
> Describe statement
> Execute
> Sync

> Parse u: UPDATE asked SET v = v + 1 WHERE v > $1
> Bind p u (3)
> Describe statement u
> Describe portal p
> Execute p
> Sync

SELECT * FROM asked ORDER BY id`,
  ),
  script(
    'columns filled from the clock',
    String.raw`
CREATE TABLE clocked (id int PRIMARY KEY, made timestamptz DEFAULT now(), changed timestamptz, r float8 DEFAULT random(), u uuid DEFAULT gen_random_uuid())

> Parse i: INSERT INTO clocked (id, changed) VALUES ($1, now()) RETURNING id, made - now(), changed = made, r BETWEEN 0 AND 1, length(u::text)
> Bind "" i (1)
> Execute
> Bind "" i (0x00000002) formats 1 results 1
> Execute
> Sync

> Run (3): INSERT INTO clocked (id) VALUES ($1)
> Run: SELECT made = now() FROM clocked WHERE id = 3
> Sync

> Run (3): UPDATE clocked SET changed = now() WHERE id = $1 RETURNING changed - now()
> Sync

> Run (4): INSERT INTO clocked (id, made) VALUES ($1, clock_timestamp()) RETURNING id
> Sync

SELECT id, made IS NULL, changed IS NULL, r IS NULL, u IS NULL FROM clocked ORDER BY id`,
  ),
  script(
    'tables without a key',
    String.raw`
CREATE TABLE keyless (a int, b text)

> Parse i: INSERT INTO keyless VALUES ($1, $2)
> Bind "" i (1, x)
> Execute
> Bind "" i (1, x)
> Execute
> Bind "" i (NULL, NULL)
> Execute
> Sync

> Run (1, y): UPDATE keyless SET b = $2 WHERE a = $1 RETURNING *
> Sync

> Run: DELETE FROM keyless WHERE a IS NULL RETURNING *
> Sync

SELECT * FROM keyless ORDER BY a, b`,
  ),
  script(
    'INSERT from a query',
    String.raw`
CREATE TABLE source_rows (id int PRIMARY KEY, t text)

CREATE TABLE target_rows (id int PRIMARY KEY, t text, n bigint)

> Run (1, 5): INSERT INTO source_rows SELECT n, 'row ' || n FROM generate_series($1::int, $2::int) AS n
> Run (2): INSERT INTO target_rows SELECT id, t, (SELECT count(*) FROM source_rows) FROM source_rows WHERE id > $1 RETURNING id, n
> Sync

> Run results 1: INSERT INTO target_rows SELECT id + 10, t, 0 FROM source_rows ORDER BY id DESC LIMIT 2 RETURNING id
> Sync

> Run: INSERT INTO target_rows SELECT * FROM target_rows WHERE false
> Sync

SELECT * FROM target_rows ORDER BY id`,
  ),
  script(
    'conflicts',
    String.raw`
CREATE TABLE upserted (id int PRIMARY KEY, n int DEFAULT 0, t text UNIQUE)

> Parse u: INSERT INTO upserted (id, n, t) VALUES ($1, $2, $3) ON CONFLICT (id) DO UPDATE SET n = upserted.n + excluded.n RETURNING id, n, t
> Parse n: INSERT INTO upserted (id, n, t) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING RETURNING id
> Bind "" u (1, 10, a)
> Execute
> Bind "" u (1, 5, b)
> Execute
> Bind "" n (1, 0, c)
> Execute
> Bind "" n (2, 0, a)
> Execute
> Bind "" n (2, 7, b)
> Execute
> Sync

!23505
> Bind "" u (3, 1, a)
> Execute
> Sync

SELECT * FROM upserted ORDER BY id`,
  ),
  script(
    'MERGE and WITH by extended query',
    String.raw`
CREATE TABLE stock (id int PRIMARY KEY, n int)

INSERT INTO stock VALUES (1, 10), (2, 20)

!? 42601
> Run (1, 5): MERGE INTO stock s USING (VALUES ($1::int, $2::int)) AS v (id, n) ON s.id = v.id WHEN MATCHED THEN UPDATE SET n = s.n + v.n WHEN NOT MATCHED THEN INSERT VALUES (v.id, v.n)
> Sync

> Run (2): WITH taken AS (DELETE FROM stock WHERE id = $1 RETURNING *) SELECT * FROM taken
> Sync

> Run (3, 30): WITH put AS (INSERT INTO stock VALUES ($1, $2) RETURNING id) SELECT id, (SELECT count(*) FROM stock) FROM put
> Sync

SELECT id FROM stock ORDER BY id`,
  ),
  script(
    'views, rules and triggers',
    String.raw`
CREATE TABLE base (id int PRIMARY KEY, t text, touched int DEFAULT 0)

CREATE TABLE journal (id int PRIMARY KEY, what text)

CREATE VIEW shown AS SELECT id, t FROM base WHERE id > 0

CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.touched := OLD.touched + 1; RAISE NOTICE 'touched %', NEW.id; RETURN NEW; END $$

CREATE TRIGGER touch BEFORE UPDATE ON base FOR EACH ROW EXECUTE FUNCTION touch()

CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO journal VALUES (NEW.id, 'made'); RETURN NULL; END $$

CREATE TRIGGER keep AFTER INSERT ON base FOR EACH ROW EXECUTE FUNCTION keep()

> Run (1, one): INSERT INTO shown VALUES ($1, $2) RETURNING *
> Run (1, two): UPDATE shown SET t = $2 WHERE id = $1 RETURNING *
> Run: SELECT * FROM journal
> Sync

!23505
> Run (2, x): INSERT INTO journal VALUES ($1, $2)
> Run (2, y): INSERT INTO base VALUES ($1, $2)
> Sync

SELECT * FROM base ORDER BY id; SELECT * FROM journal ORDER BY id`,
  ),
  script(
    'functions that write',
    String.raw`
CREATE TABLE written (id int PRIMARY KEY, t text)

CREATE FUNCTION write_one(id int, t text) RETURNS int LANGUAGE sql AS 'INSERT INTO written VALUES ($1, $2) RETURNING id'

CREATE PROCEDURE write_two(a int, INOUT b int) LANGUAGE plpgsql AS $$ BEGIN INSERT INTO written VALUES (a, 'a'), (b, 'b'); b := a + b; END $$

> Run (1, one): SELECT write_one($1, $2)
> Sync

> Run (2, 3): CALL write_two($1, $2)
> Sync

> Run: DO $$ BEGIN INSERT INTO written VALUES (4, 'do'); END $$
> Sync

!23505
> Run: SELECT count(*) FROM written
> Run (5, five): SELECT write_one($1, $2)
> Run (5, again): SELECT write_one($1, $2)
> Sync

SELECT * FROM written ORDER BY id`,
  ),
  script(
    'definitions by extended query',
    String.raw`
> Run: CREATE SCHEMA made_by_message
> Sync

> Run: CREATE TABLE made_by_message.t (id int PRIMARY KEY, v text DEFAULT 'x')
> Run: CREATE INDEX t_v ON made_by_message.t (v)
> Run: ALTER TABLE made_by_message.t ADD CHECK (id > 0)
> Sync

> Run (1): INSERT INTO made_by_message.t (id) VALUES ($1) RETURNING *
> Sync

> Run: CREATE TABLE made_by_message.c AS SELECT * FROM made_by_message.t
> Run: CREATE MATERIALIZED VIEW made_by_message.m AS SELECT count(*) FROM made_by_message.t
> Run: REFRESH MATERIALIZED VIEW made_by_message.m
> Run: SELECT * FROM made_by_message.m
> Sync

> Run: GRANT SELECT ON made_by_message.t TO PUBLIC
> Run: COMMENT ON TABLE made_by_message.t IS 'it''s made'
> Run: ANALYZE made_by_message.t
> Sync

!2BP01
> Run: DROP SCHEMA made_by_message
> Sync

> Run: DROP SCHEMA made_by_message CASCADE
> Sync

> Run: CREATE TABLE IF NOT EXISTS base_of_messages (id int PRIMARY KEY)
> Run: CREATE TABLE IF NOT EXISTS base_of_messages (id int PRIMARY KEY)
> Run: TRUNCATE base_of_messages
> Run: DROP TABLE base_of_messages
> Sync`,
  ),
  script(
    'sequences by extended query',
    String.raw`
> Run: CREATE SEQUENCE counted START 10 INCREMENT 5
> Sync

> Parse n: SELECT nextval('counted')
> Bind "" n
> Execute
> Bind "" n results 1
> Execute
> Sync

> Run (counted): SELECT nextval($1)
> Sync

> Run (100): SELECT setval('counted', $1::bigint)
> Sync

> Bind "" n
> Execute
> Run: SELECT currval('counted')
> Sync

!22012
> Bind "" n
> Execute
> Run: SELECT 1/0
> Sync

> Bind "" n
> Execute
> Sync`,
  ),
  script(
    'parameters that name an object',
    String.raw`
CREATE SEQUENCE named_by_parameter

CREATE TABLE named_serial (id serial, v text); INSERT INTO named_serial VALUES (1, 'x')

CREATE SCHEMA named

CREATE SEQUENCE named."By Parameter" START 5

> Run (named_by_parameter, 100): SELECT setval($1::regclass, $2::bigint)
> Sync

> Run (named_by_parameter): SELECT nextval($1)
> Sync

> Parse s: SELECT setval($1, $2, false)
> Bind "" s ('named."By Parameter"', 70)
> Execute
> Bind "" s (named_by_parameter, 700)
> Execute
> Bind "" s (NULL, 7000)
> Execute
> Sync

> Parse (text): SELECT nextval($1::text::regclass), currval($1::regclass)
> Bind "" "" ('named."By Parameter"')
> Execute
> Sync

> Parse (varchar, varchar): SELECT setval(pg_get_serial_sequence($1, $2), 5)
> Bind "" "" (named_serial, id)
> Execute
> Sync

!42P01
> Run (named_by_nobody, 7): SELECT setval($1, $2)
> Sync

> Run (named_by_parameter): UPDATE named_serial SET v = $1::regclass::text RETURNING v
> Sync

SELECT last_value, is_called FROM named_by_parameter

SELECT last_value, is_called FROM named."By Parameter"`,
  ),
  script(
    'sequences by their numbers',
    String.raw`
!42809
> Run (1259, 100): SELECT setval($1, $2)
> Sync

!42809
> Run (0x000004eb, 100) formats 1,0: SELECT setval($1, $2)
> Sync

!42809
SELECT setval(1259, 100)

!42809
SELECT setval('1259', 100)

SELECT 'the session goes on'`,
  ),
  script(
    'large objects by extended query',
    String.raw`
> Run: BEGIN
> Run: SELECT lo_from_bytea(4244, 'content')
> Run: SELECT convert_from(lo_get(4244), 'UTF8')
> Run: COMMIT
> Sync

> Run: SELECT lo_unlink(4244)
> Sync`,
  ),
  script(
    'partitions and foreign keys that cascade',
    String.raw`
CREATE TABLE measured (id int, at date, v int, PRIMARY KEY (id, at)) PARTITION BY RANGE (at)

CREATE TABLE measured_2026 PARTITION OF measured FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')

CREATE TABLE top_level (id int PRIMARY KEY)

CREATE TABLE below (id int PRIMARY KEY, top int REFERENCES top_level ON DELETE CASCADE)

> Parse i: INSERT INTO measured VALUES ($1, $2, $3) RETURNING tableoid::regclass, *
> Bind "" i (1, 2026-05-05, 7)
> Execute
> Sync

!23514
> Bind "" i (1, 2020-05-05, 7)
> Execute
> Sync

> Run (1): INSERT INTO top_level VALUES ($1)
> Run (1): INSERT INTO below SELECT n, $1 FROM generate_series(1, 3) AS n
> Run (1): DELETE FROM top_level WHERE id = $1
> Run: SELECT count(*) FROM below
> Sync

SELECT * FROM measured`,
  ),
];
