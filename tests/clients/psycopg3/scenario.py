"""A day in the life of psycopg 3, all by the extended protocol. Prints what it sees: the same from a server and from a proxy in front of it."""
import datetime
import decimal
import enum
import sys
import threading
import time
import uuid

import psycopg
from psycopg import pq
from psycopg.rows import dict_row
from psycopg.types.composite import CompositeInfo, register_composite
from psycopg.types.enum import EnumInfo, register_enum
from psycopg.types.json import Jsonb


def show(what, *values):
    print(f"{what}: {values!r}", flush=True)


def refused(what, run):
    """Prints the error that `run` ends with."""
    try:
        run()
    except psycopg.Error as error:
        diag = error.diag
        show(what, type(error).__name__, error.sqlstate, diag.severity, diag.message_primary, diag.message_detail,
             diag.table_name, diag.column_name, diag.constraint_name, diag.statement_position)
        return
    show(what, "not refused")


UTC = datetime.timezone.utc
COLUMNS = "word, bytes, flag, big, exact, approximate, day, moment, pause, numbers, words, document, tag"
ROWS = [
    ("ünïcödé 日本語 😀", bytes(range(256)), True, 2**63 - 1, decimal.Decimal("1e-20"), 0.1, datetime.date(2024, 2, 29),
     datetime.datetime(2024, 2, 29, 12, 30, 15, 123456, UTC), datetime.timedelta(days=-1, microseconds=1), [1, None, -3],
     ['a"b', "c,d", "e\\f", None], Jsonb({"ä": [1, None, {"b": "\\"}]}), uuid.UUID(int=7)),
    ("it's; a \\ \"quote\" -- $$ %s $1", b"\\x00'", False, -(2**63), decimal.Decimal("-0.00"), float("-inf"), datetime.date.max,
     datetime.datetime.max.replace(tzinfo=UTC), datetime.timedelta(days=9999), [], [], Jsonb(None), uuid.UUID(int=2**128 - 1)),
    (None,) * 13,
]


def values(connection):
    connection.execute("""CREATE TABLE item (id serial PRIMARY KEY, word text, bytes bytea, flag boolean, big int8, exact numeric,
        approximate float8, day date, moment timestamptz, pause interval, numbers int[], words text[], document jsonb,
        tag uuid CHECK (tag <> '00000000-0000-0000-0000-000000000000'))""")
    for kind in ("%s", "%b", "%t"):
        marks = ", ".join([kind] * 13)
        for row in ROWS:
            cursor = connection.execute(f"INSERT INTO item ({COLUMNS}) VALUES ({marks}) RETURNING id", row)
            show("inserted", kind, cursor.rowcount, cursor.fetchone(), cursor.statusmessage)
    connection.commit()
    for binary in (False, True):
        with connection.cursor(binary=binary, row_factory=dict_row) as cursor:
            for row in cursor.execute("SELECT * FROM item WHERE id <= %s ORDER BY id", (6,)):
                show("row", binary, {name: bytes(value) if isinstance(value, memoryview) else value for name, value in row.items()})
            types = [(column.name, column.type_code) for column in cursor.description]
            show("types", types)
    found = connection.execute("SELECT id FROM item WHERE numbers @> %s::int[] AND tag = %s ORDER BY id", ([1], uuid.UUID(int=7)))
    show("found", found.fetchall())
    show("no parameters", connection.execute("SELECT 1; SELECT 2").nextset())
    show("empty", connection.execute("").statusmessage)
    connection.rollback()


def own_types(connection):
    class Mood(enum.Enum):
        fine = "fine"
        so_so = "so_so"

    connection.execute("CREATE TYPE mood AS ENUM ('fine', 'so_so'); CREATE TYPE place AS (x int, name text); CREATE DOMAIN score AS int CHECK (VALUE < 100)")
    connection.execute("CREATE TABLE visit (id int PRIMARY KEY, mood mood, moods mood[], place place, places place[], score score)")
    connection.commit()
    register_enum(EnumInfo.fetch(connection, "mood"), connection, Mood)
    info = CompositeInfo.fetch(connection, "place")
    register_composite(info, connection)
    place = info.python_type
    for number, kind in enumerate(("%s", "%b", "%t")):
        marks = ", ".join([kind] * 6)
        connection.execute(f"INSERT INTO visit VALUES ({marks})", (number, Mood.fine, [Mood.so_so, None], place(1, "ä, (\"b\")"),
                                                                   [place(2, None)], 7))
        connection.commit()
    connection.execute("UPDATE visit SET mood = %s WHERE mood = %s AND id = %s", (Mood.so_so, Mood.fine, 1))
    for binary in (False, True):
        rows = connection.execute("SELECT * FROM visit ORDER BY id", binary=binary).fetchall()
        show("own types", binary, [tuple(str(value) for value in row) for row in rows])
    connection.commit()
    refused("domain", lambda: connection.execute("INSERT INTO visit (id, score) VALUES (%s, %s)", (9, 200)))
    connection.rollback()


def prepared(connection):
    # From the fifth execution on a statement is prepared on the server.
    for number in range(12):
        connection.execute("INSERT INTO item (word, big) VALUES (%s, %s)", (f"prepared {number}", number))
        row = connection.execute("SELECT word, big FROM item WHERE word = %s", (f"prepared {number}",)).fetchone()
        if number in (0, 4, 5, 11):
            show("prepared", row)
        connection.commit()
    for number in range(3):
        show("prepared at once", connection.execute("SELECT %s::int + 1", (number,), prepare=True).fetchone())
    connection.execute("CREATE TABLE changing (id int PRIMARY KEY, word text)")
    connection.commit()
    for number in range(7):
        connection.execute("INSERT INTO changing VALUES (%s, %s) ON CONFLICT (id) DO UPDATE SET word = EXCLUDED.word", (number % 3, "x"))
        show("all columns", connection.execute("SELECT * FROM changing WHERE id = %s", (0,)).fetchall())
    connection.commit()
    connection.execute("ALTER TABLE changing ADD COLUMN more int DEFAULT 5")
    connection.commit()
    refused("after ALTER TABLE", lambda: connection.execute("SELECT * FROM changing WHERE id = %s", (0,)))
    connection.rollback()
    connection.execute("DEALLOCATE ALL")
    connection.commit()
    show("prepared anew", connection.execute("SELECT * FROM changing WHERE id = %s", (0,)).fetchall())
    connection.commit()
    with connection.cursor() as cursor:
        cursor.executemany("INSERT INTO item (word, big) VALUES (%s, %s)", [(f"many {n}", n) for n in range(300)])
        show("executemany", cursor.rowcount)
        cursor.executemany("UPDATE item SET big = big + %s WHERE word = %s RETURNING big", [(n, f"many {n}") for n in range(4)], returning=True)
        results = []
        while True:
            results.append(cursor.fetchall())
            if not cursor.nextset():
                break
        show("executemany returning", results)
    connection.commit()
    with connection.cursor() as cursor:
        refused("executemany refused", lambda: cursor.executemany("INSERT INTO changing (id) VALUES (%s)", [(50,), (51,), (50,), (52,)]))
    connection.rollback()
    show("sums", connection.execute("SELECT count(*), sum(big) FROM item WHERE word LIKE %s", ("many%",)).fetchall())
    connection.commit()


def pipelines(connection):
    connection.autocommit = True
    with connection.pipeline():
        cursors = [connection.execute("SELECT %s::int * 2", (number,)) for number in range(20)]
        connection.execute("INSERT INTO changing VALUES (%s, %s)", (100, "piped"))
        counted = connection.execute("SELECT count(*) FROM changing WHERE id >= %s", (100,))
        show("piped", sum(cursor.fetchone()[0] for cursor in cursors), counted.fetchone())
    # Where in the block psycopg hears of the error depends on when it reads.
    try:
        with connection.pipeline() as pipeline:
            first = connection.execute("INSERT INTO changing VALUES (%s, %s) RETURNING id", (101, "before the error"))
            pipeline.sync()
            show("before", first.fetchone())
            connection.execute("INSERT INTO changing VALUES (%s, %s)", (102, "with the error"))
            connection.execute("SELECT 1 / %s", (0,))
            connection.execute("INSERT INTO changing VALUES (%s, %s)", (103, "behind the error"))
            pipeline.sync()
    except psycopg.Error as error:
        show("piped error", type(error).__name__, error.diag.message_primary)
    show("left", connection.execute("SELECT id FROM changing WHERE id >= 100 ORDER BY id").fetchall())
    with connection.pipeline():
        with connection.transaction():
            connection.execute("UPDATE changing SET word = %s WHERE id = %s", ("in a transaction", 100))
            with connection.transaction():
                connection.execute("DELETE FROM changing WHERE id = %s", (101,))
        word = connection.execute("SELECT word FROM changing WHERE id = %s", (100,))
        show("transaction piped", word.fetchone())
    connection.autocommit = False


def drained(pgconn, count):
    """The next results of a pipeline, until so many of its Syncs have been answered."""
    seen = []
    while count > 0:
        result = pgconn.get_result()
        if result is None:
            continue
        status = pq.ExecStatus(result.status).name
        if status == "PIPELINE_SYNC":
            count -= 1
        seen.append((status, result.command_status, result.error_field(pq.DiagnosticField.SQLSTATE),
                     [[result.get_value(row, column) for column in range(result.nfields)] for row in range(result.ntuples)]))
    return seen


def libpq(dsn):
    """libpq's pipeline mode itself."""
    pgconn = pq.PGconn.connect(dsn.encode())
    assert pgconn.status == pq.ConnStatus.OK, pgconn.error_message
    pgconn.exec_(b"CREATE TABLE raw (id int PRIMARY KEY, n int)")
    pgconn.enter_pipeline_mode()
    # Several statements of one implicit transaction, a named one among them.
    pgconn.send_prepare(b"insert", b"INSERT INTO raw VALUES ($1, $2) RETURNING n")
    for number in range(5):
        pgconn.send_query_prepared(b"insert", [str(number).encode(), b"0"])
    pgconn.send_query_params(b"SELECT count(*) FROM raw", None)
    pgconn.pipeline_sync()
    # An error in the middle: nothing of this part stays, the next part is not concerned.
    pgconn.send_query_prepared(b"insert", [b"10", b"0"])
    pgconn.send_query_prepared(b"insert", [b"1", b"0"])
    pgconn.send_query_prepared(b"insert", [b"11", b"0"])
    pgconn.pipeline_sync()
    pgconn.send_query_params(b"SELECT count(*) FROM raw", None)
    pgconn.pipeline_sync()
    for step in range(3):
        show("libpq", drained(pgconn, 1))
    # Flush: results come before any Sync.
    pgconn.send_query_params(b"UPDATE raw SET n = n + $1 WHERE id = $2", [b"3", b"1"])
    pgconn.send_query_params(b"SELECT n FROM raw WHERE id = $1", [b"1"], None, None, 1)
    pgconn.send_flush_request()
    pgconn.flush()
    early = []
    while len(early) < 2:
        result = pgconn.get_result()
        if result is not None:
            early.append((result.command_status, result.get_value(0, 0) if result.ntuples else None))
    show("libpq, flushed", early)
    pgconn.send_describe_prepared(b"insert")
    pgconn.send_query_params(b"BEGIN", None)
    pgconn.pipeline_sync()
    pgconn.send_query_params(b"DELETE FROM raw WHERE id = 4", None)
    pgconn.send_query_params(b"SAVEPOINT s", None)
    pgconn.pipeline_sync()
    pgconn.send_query_params(b"SELECT 1 / 0", None)
    pgconn.pipeline_sync()
    pgconn.send_query_params(b"ROLLBACK TO s", None)
    pgconn.send_query_params(b"COMMIT", None)
    pgconn.pipeline_sync()
    show("libpq, a transaction over several parts", drained(pgconn, 4))
    # Deep: far more than fits into a socket's buffer, written by hand as far as it goes and read meanwhile.
    for number in range(1000, 1600):
        pgconn.send_query_prepared(b"insert", [str(number).encode(), b"7"])
        if number % 50 == 0:
            pgconn.send_query_params(b"SELECT repeat('x', 2000), $1::int", [str(number).encode()])
            pgconn.pipeline_sync()
    pgconn.pipeline_sync()
    results = drained(pgconn, 13)
    show("libpq, deep", len(results), sorted({result[0] for result in results}), sum(len(result[3]) for result in results))
    pgconn.exit_pipeline_mode()
    result = pgconn.exec_(b"SELECT count(*), sum(n) FROM raw")
    show("libpq, at the end", result.get_value(0, 0), result.get_value(0, 1))
    pgconn.finish()


def cursors(connection):
    for binary in (False, True):
        with connection.cursor("named", binary=binary, scrollable=True) as cursor:
            cursor.itersize = 37
            cursor.execute("SELECT id FROM item WHERE id > %s ORDER BY id", (0,))
            show("server-side", binary, sum(row[0] for row in cursor))
            cursor.scroll(0, "absolute")
            show("scrolled", cursor.fetchmany(3), cursor.fetchone())
            cursor.scroll(-2)
            show("back", cursor.fetchone())
    connection.commit()
    held = connection.cursor("held", withhold=True)
    held.execute("SELECT id FROM item WHERE id <= %s ORDER BY id", (5,))
    connection.commit()
    show("held", held.fetchmany(2))
    connection.execute("UPDATE item SET flag = %s WHERE id = %s", (True, 3))
    connection.commit()
    show("held on", held.fetchall())
    held.close()
    connection.commit()
    with connection.cursor() as cursor:
        show("streamed", sum(row[0] for row in cursor.stream("SELECT generate_series(1, %s)", (5000,))))
    connection.commit()


def transactions(connection):
    with connection.transaction():
        connection.execute("UPDATE item SET flag = true WHERE id = %s", (3,))
        try:
            with connection.transaction():
                show("deleted", connection.execute("DELETE FROM item WHERE id > %s", (0,)).rowcount)
                raise KeyError("leave")
        except KeyError:
            pass
        with connection.transaction():
            connection.execute("INSERT INTO item (word) VALUES (%s)", ("behind the savepoint",))
        try:
            with connection.transaction():
                connection.execute("INSERT INTO item (id) VALUES (%s)", (3,))
        except psycopg.errors.UniqueViolation as error:
            show("unique inside", error.diag.constraint_name)
    show("after", connection.execute("SELECT count(*), bool_and(flag) FILTER (WHERE id = %s) FROM item", (3,)).fetchone())
    connection.commit()
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    connection.read_only = True
    refused("write in a read-only transaction", lambda: connection.execute("INSERT INTO item (word) VALUES (%s)", ("never",)))
    refused("failed transaction", lambda: connection.execute("SELECT %s", (1,)))
    connection.rollback()
    connection.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
    connection.read_only = None
    show("isolation", connection.execute("SHOW transaction_isolation").fetchone())
    connection.execute("UPDATE item SET exact = %s WHERE id = %s", (5, 3))
    connection.commit()
    connection.isolation_level = None


def errors(connection):
    connection.autocommit = True
    refused("unique", lambda: connection.execute("INSERT INTO item (id) VALUES (%s)", (1,)))
    refused("check", lambda: connection.execute("INSERT INTO item (tag) VALUES (%s)", (uuid.UUID(int=0),)))
    refused("not null", lambda: connection.execute("INSERT INTO item (id) VALUES (%s)", (None,)))
    refused("syntax", lambda: connection.execute("SELECT 'ä', %s FROM", (1,)))
    refused("division", lambda: connection.execute("SELECT 1 / %s", (0,)))
    refused("type", lambda: connection.execute("SELECT %s::int", ("no number",)))
    refused("binary", lambda: connection.execute("SELECT %b + 'x'::int", (1,)))
    refused("unknown column", lambda: connection.execute("UPDATE item SET nothing = %s", ("ä",)))
    refused("several", lambda: connection.execute("SELECT 1; SELECT %s", (1,)))
    show("afterwards", connection.execute("SELECT %s::text", ("goes on",)).fetchone())
    notices = []
    connection.add_notice_handler(lambda diag: notices.append((diag.severity, diag.message_primary)))
    connection.execute("DO $$ BEGIN RAISE NOTICE 'ä notice'; END $$")
    show("notices", notices)
    connection.autocommit = False


def copies(connection):
    connection.execute("CREATE TABLE sheet (n integer PRIMARY KEY, word text)")
    connection.commit()
    with connection.cursor() as cursor:
        with cursor.copy("COPY sheet FROM STDIN") as copy:
            for number in range(3000):
                copy.write_row((number, f"ä\t{number}\\"))
        show("copied in", cursor.rowcount)
        with cursor.copy("COPY sheet (n, word) FROM STDIN (FORMAT binary)") as copy:
            copy.set_types(["int4", "text"])
            for number in range(3000, 6000):
                copy.write_row((number, None if number % 7 == 0 else "b"))
        with cursor.copy("COPY (SELECT * FROM sheet ORDER BY n) TO STDOUT (FORMAT binary)") as copy:
            copy.set_types(["int4", "text"])
            rows = list(copy.rows())
        show("copied out", len(rows), rows[:2], rows[-1])
        connection.commit()
        try:
            with cursor.copy("COPY sheet FROM STDIN") as copy:
                copy.write_row((-1, "never"))
                raise KeyError("in the middle")
        except KeyError:
            show("left in the middle", connection.info.transaction_status.name)
        connection.rollback()
        def twice():
            with cursor.copy("COPY sheet FROM STDIN") as copy:
                copy.write_row((-2, "never"))
                copy.write_row((5, "twice"))
        refused("COPY refused", twice)
        connection.rollback()
        with cursor.copy("COPY (SELECT count(*) FROM sheet WHERE n < %s) TO STDOUT", (1,)) as copy:
            show("copied with a parameter", bytes(b"".join(copy)))
    connection.commit()


def asynchronous(connection):
    connection.autocommit = True
    heard = []
    connection.add_notify_handler(lambda one: heard.append((one.channel, one.payload, one.pid == connection.info.backend_pid)))
    connection.execute("LISTEN bell")
    with connection.pipeline():
        connection.execute("SELECT pg_notify(%s, %s)", ("bell", "ünï"))
        connection.execute("SELECT pg_notify(%s, %s)", ("bell", "twice"))
    deadline = time.monotonic() + 30
    while len(heard) < 2 and time.monotonic() < deadline:
        connection.execute("SELECT %s::int", (1,))
    show("notifications", heard)
    connection.execute("UNLISTEN *")
    done = threading.Event()

    def cancel():
        while not done.wait(0.3):
            connection.cancel_safe()

    canceller = threading.Thread(target=cancel)
    canceller.start()
    refused("cancelled", lambda: connection.execute("SELECT pg_sleep(%s)", (30,)))
    done.set()
    canceller.join()
    show("afterwards", connection.execute("SELECT %s::text", ("goes on",)).fetchone())
    connection.execute("SET statement_timeout = 50")
    refused("timed out", lambda: connection.execute("SELECT pg_sleep(%s)", (30,)))
    connection.execute("RESET statement_timeout")


def main(dsn):
    with psycopg.connect(dsn, application_name="scenario") as connection:
        status = connection.info.parameter_status
        show("server", connection.info.server_version, status("server_encoding"), status("application_name"))
        values(connection)
        own_types(connection)
        prepared(connection)
        pipelines(connection)
        cursors(connection)
        transactions(connection)
        errors(connection)
        copies(connection)
        asynchronous(connection)
    libpq(dsn)


main(sys.argv[1])
