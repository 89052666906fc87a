"""A day in the life of psycopg2. Prints what it saw, a line each: the same from a server and from a proxy in front of it."""

import datetime
import decimal
import io
import select
import sys
import threading
import time
import uuid

import psycopg2
import psycopg2.errorcodes
import psycopg2.extras
from psycopg2 import extensions

psycopg2.extras.register_uuid()


def show(what, value):
    print(f"{what}: {value!r}")


def refused(what, connection, *query):
    try:
        with connection.cursor() as cursor:
            cursor.execute(*query)
        show(what, "not refused")
    except psycopg2.Error as error:
        diag = error.diag
        show(what, (type(error).__name__, error.pgcode, diag.severity, diag.message_primary, diag.message_detail,
                    diag.schema_name, diag.table_name, diag.column_name, diag.constraint_name, diag.statement_position))


def values(connection):
    with connection.cursor() as cursor:
        cursor.execute("""
            CREATE TABLE item (
              id serial PRIMARY KEY, word text CONSTRAINT item_word_once UNIQUE, bytes bytea, flag boolean, big bigint,
              exact numeric, approximate float8, day date, moment timestamptz, local timestamp, pause interval,
              numbers int[], words text[], document jsonb, tag uuid CHECK (tag <> '00000000-0000-0000-0000-000000000000'))""")
        utc = datetime.timezone.utc
        rows = [
            ("ünïcödé 日本語 😀", memoryview(bytes(range(256))), True, 2**63 - 1, decimal.Decimal("1e-20"), 0.1,
             datetime.date(2024, 2, 29), datetime.datetime(2024, 2, 29, 12, 30, 15, 123456, utc),
             datetime.datetime(1, 1, 1), datetime.timedelta(days=-1, microseconds=1), [1, None, -3], ['a"b', "c,d", "e\\f", None],
             psycopg2.extras.Json({"ä": [1, None, {"b": "\\"}]}), uuid.UUID(int=7)),
            ("it's; a \\ \"quote\" -- $$ %s", memoryview(b"\\x00'"), False, -(2**63), decimal.Decimal("-0.00"), float("-inf"),
             datetime.date.max, datetime.datetime.max.replace(tzinfo=utc), datetime.datetime.max, datetime.timedelta.max, [], [],
             psycopg2.extras.Json(None), uuid.UUID(int=2**128 - 1)),
            (None,) * 14,
        ]
        marks = ", ".join(["%s"] * 14)
        for row in rows:
            cursor.execute(f"""INSERT INTO item (word, bytes, flag, big, exact, approximate, day, moment, local, pause,
                numbers, words, document, tag) VALUES ({marks}) RETURNING id""", row)
            show("inserted", (cursor.rowcount, cursor.fetchone(), cursor.statusmessage))
        cursor.executemany("INSERT INTO item (word) VALUES (%s)", [("many 1",), ("many 2",)])
        psycopg2.extras.execute_values(cursor, "INSERT INTO item (word, big) VALUES %s", [(f"values {n}", n) for n in range(250)])
        show("execute_values", cursor.rowcount)
        psycopg2.extras.execute_batch(cursor, "UPDATE item SET big = big + 1 WHERE word = %s", [(f"values {n}",) for n in range(30)])
    connection.commit()
    with connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor:
        cursor.execute("SELECT * FROM item WHERE id <= 5 ORDER BY id")
        for row in cursor:
            show("row", {name: bytes(value) if isinstance(value, memoryview) else value for name, value in row.items()})
        cursor.execute("SELECT count(*), sum(big) FROM item WHERE word LIKE 'values%%' AND id > %(least)s", {"least": 0})
        show("sums", cursor.fetchall())
        cursor.execute("SELECT word FROM item WHERE numbers @> %s AND tag = %s", ([1], uuid.UUID(int=7)))
        show("found", cursor.fetchall())
    with connection.cursor("named") as cursor:
        cursor.itersize = 100
        cursor.execute("SELECT id FROM item ORDER BY id")
        show("server-side cursor", sum(row[0] for row in cursor))
    connection.rollback()


def transactions(connection):
    with connection, connection.cursor() as cursor:
        cursor.execute("UPDATE item SET flag = true WHERE id = %s", (3,))
        show("updated", (cursor.rowcount, connection.status, connection.info.transaction_status))
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute("DELETE FROM item")
            show("deleted", cursor.rowcount)
            raise KeyError("leave")
    except KeyError:
        pass
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*), bool_and(flag) FILTER (WHERE id = 3) FROM item")
        show("after the rollback", cursor.fetchone())
    with connection, connection.cursor() as cursor:
        cursor.execute("SAVEPOINT one; INSERT INTO item (word) VALUES ('savepoint'); ROLLBACK TO one; RELEASE one")
        cursor.execute("INSERT INTO item (word) VALUES ('behind the savepoint')")
    connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
    refused("write in a read-only transaction", connection, "INSERT INTO item (word) VALUES ('never')")
    refused("failed transaction", connection, "SELECT 1")
    connection.rollback()
    connection.set_session(isolation_level="SERIALIZABLE", readonly=False)
    with connection, connection.cursor() as cursor:
        cursor.execute("SHOW transaction_isolation")
        show("isolation", cursor.fetchone())
        cursor.execute("UPDATE item SET exact = 5 WHERE id = 3")
    connection.set_session(isolation_level="DEFAULT", autocommit=True)


def errors(connection):
    refused("unique", connection, "INSERT INTO item (word) VALUES (%s)", ("many 1",))
    refused("check", connection, "INSERT INTO item (tag) VALUES (%s)", (uuid.UUID(int=0),))
    refused("not null", connection, "INSERT INTO item (id) VALUES (NULL)")
    refused("syntax", connection, "SELECT 'ä', FROM item")
    refused("division", connection, "SELECT 1 / %s", (0,))
    refused("unknown column", connection, "UPDATE item SET nothing = 'ä'")
    with connection.cursor() as cursor:
        cursor.execute("SELECT 'goes on'")
        show("afterwards", cursor.fetchone())
        cursor.execute("SET client_min_messages = notice; DO $$ BEGIN RAISE NOTICE 'ä notice'; END $$")
        show("notices", connection.notices)


def copies(connection):
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE sheet (n integer PRIMARY KEY, word text)")
        text = "".join(f"{n}\tä{n}\\\\\n" for n in range(20000))
        cursor.copy_expert("COPY sheet FROM STDIN", io.StringIO(text))
        show("copied in", cursor.rowcount)
        cursor.copy_expert("COPY sheet (n, word) FROM STDIN WITH (FORMAT csv)", io.StringIO('-1,"a ""b"""\n-2,\n'))
        out = io.StringIO()
        cursor.copy_expert("COPY (SELECT * FROM sheet WHERE n >= 0 ORDER BY n) TO STDOUT", out)
        show("copied out", (cursor.rowcount, out.getvalue() == text))
        out = io.BytesIO()
        cursor.copy_expert("COPY (SELECT * FROM sheet WHERE n < 3 ORDER BY n) TO STDOUT (FORMAT binary)", out)
        show("binary", out.getvalue())
        cursor.copy_from(io.StringIO("-3|x\n"), "sheet", sep="|")
        try:
            cursor.copy_expert("COPY sheet FROM STDIN", io.StringIO("-4\tgood\nfive\tbad\n"))
        except psycopg2.Error as error:
            show("COPY refused", (error.pgcode, error.diag.context))
        cursor.execute("SELECT count(*) FROM sheet WHERE n < 0")
        show("left", cursor.fetchone())


def asynchronous(connection, dsn):
    with connection.cursor() as cursor:
        cursor.execute("LISTEN bell")
        cursor.execute("NOTIFY bell, 'ünï'")
        deadline = time.monotonic() + 20
        while not connection.notifies and time.monotonic() < deadline:
            select.select([connection], [], [], 1)
            connection.poll()
        show("notification", [(one.channel, one.payload) for one in connection.notifies])
        cursor.execute("UNLISTEN *")
    canceller = threading.Timer(0.3, connection.cancel)
    canceller.start()
    refused("cancelled", connection, "SELECT pg_sleep(20)")
    canceller.join()
    other = psycopg2.connect(dsn, async_=True)
    wait(other)
    cursor = other.cursor()
    cursor.execute("SELECT count(*) FROM item")
    wait(other)
    show("asynchronously", cursor.fetchone())
    other.close()


def wait(connection):
    while True:
        state = connection.poll()
        if state == extensions.POLL_OK:
            return
        reads, writes = ([connection], []) if state == extensions.POLL_READ else ([], [connection])
        select.select(reads, writes, [], 20)


def main(dsn):
    connection = psycopg2.connect(dsn, application_name="scenario", options="-c statement_timeout=30s")
    show("server", (connection.server_version, connection.encoding, connection.get_parameter_status("application_name")))
    values(connection)
    transactions(connection)
    errors(connection)
    copies(connection)
    asynchronous(connection, dsn)
    connection.close()


main(sys.argv[1])
