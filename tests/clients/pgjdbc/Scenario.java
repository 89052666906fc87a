// A day in the life of PgJDBC. Prints what it sees: the same from a server and from a proxy in front of it.
// Arguments: a URL without parameters, and parameters.
import java.math.BigDecimal;
import java.sql.Array;
import java.sql.BatchUpdateException;
import java.sql.CallableStatement;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.Savepoint;
import java.sql.Statement;
import java.sql.Timestamp;
import java.sql.Types;
import java.time.LocalDate;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.util.Arrays;
import java.util.UUID;
import java.io.ByteArrayOutputStream;
import java.io.StringReader;
import java.nio.charset.StandardCharsets;
import org.postgresql.PGConnection;
import org.postgresql.PGNotification;
import org.postgresql.copy.CopyManager;
import org.postgresql.util.PSQLException;
import org.postgresql.util.ServerErrorMessage;

public class Scenario {
    interface Work {
        void run() throws SQLException;
    }

    static void show(String what, Object... values) {
        System.out.println(what + ": " + Arrays.deepToString(values));
    }

    /** Prints the error that `work` ends with: what the server said, and nothing that the driver adds. */
    static void refused(String what, Work work) throws SQLException {
        try {
            work.run();
            show(what, "not refused");
        } catch (SQLException error) {
            SQLException first = error instanceof BatchUpdateException && error.getNextException() != null ? error.getNextException() : error;
            ServerErrorMessage told = first instanceof PSQLException ? ((PSQLException) first).getServerErrorMessage() : null;
            if (told == null) show(what, first.getSQLState(), first.getMessage());
            else show(what, told.getSeverity(), told.getSQLState(), told.getMessage(), told.getDetail(), told.getTable(), told.getColumn(), told.getConstraint(), told.getPosition());
        }
    }

    static void rows(String what, ResultSet result) throws SQLException {
        ResultSetMetaData meta = result.getMetaData();
        int count = 0;
        while (result.next()) {
            Object[] row = new Object[meta.getColumnCount()];
            for (int column = 0; column < row.length; column++) {
                Object value = result.getObject(column + 1);
                row[column] = value instanceof byte[] ? Arrays.toString((byte[]) value) : value instanceof Array ? value.toString() : value;
            }
            show(what, row);
            count++;
        }
        show(what, "rows", count);
        result.close();
    }

    static void execute(Connection connection, String sql) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            statement.execute(sql);
        }
    }

    static void query(Connection connection, String what, String sql) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            rows(what, statement.executeQuery(sql));
        }
    }

    static void values(Connection connection) throws SQLException {
        execute(connection, "CREATE TABLE item (id serial PRIMARY KEY, word text UNIQUE, bytes bytea, flag boolean, big int8, exact numeric, "
            + "approximate float8, day date, moment timestamptz, numbers int[], document jsonb, tag uuid)");
        String insert = "INSERT INTO item (word, bytes, flag, big, exact, approximate, day, moment, numbers, document, tag) "
            + "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?::jsonb, ?)";
        try (PreparedStatement statement = connection.prepareStatement(insert, Statement.RETURN_GENERATED_KEYS)) {
            for (int round = 0; round < 7; round++) {
                boolean empty = round == 1;
                statement.setString(1, empty ? null : "ünïcödé 日本語 😀 'quoted' \\ $1 " + round);
                statement.setBytes(2, empty ? null : new byte[] {0, -1, 92, 39});
                if (empty) statement.setNull(3, Types.BOOLEAN); else statement.setBoolean(3, round % 2 == 0);
                statement.setLong(4, Long.MAX_VALUE - round);
                statement.setBigDecimal(5, new BigDecimal("1.500"));
                statement.setDouble(6, round == 2 ? Double.NEGATIVE_INFINITY : 0.1 * round);
                statement.setObject(7, LocalDate.of(2024, 2, 29));
                statement.setObject(8, OffsetDateTime.of(2024, 2, 29, 12, 30, 15, 123456000, ZoneOffset.UTC));
                statement.setArray(9, connection.createArrayOf("int4", new Integer[] {1, null, -3}));
                statement.setString(10, "{\"ä\": [1, null]}");
                statement.setObject(11, new UUID(0, 7 + round));
                show("inserted", statement.executeUpdate());
                try (ResultSet keys = statement.getGeneratedKeys()) {
                    keys.next();
                    show("key", keys.getLong("id"));
                }
            }
        }
        try (PreparedStatement statement = connection.prepareStatement("SELECT * FROM item WHERE id <= ? ORDER BY id")) {
            for (int limit : new int[] {1, 2, 7, 1, 2, 1}) {
                statement.setInt(1, limit);
                rows("found", statement.executeQuery());
            }
        }
        try (PreparedStatement statement = connection.prepareStatement("INSERT INTO item (word) VALUES (?), (?)", new String[] {"id", "word"})) {
            statement.setString(1, "two");
            statement.setString(2, "at once");
            statement.executeUpdate();
            rows("keys", statement.getGeneratedKeys());
        }
        try (PreparedStatement statement = connection.prepareStatement("SELECT ?::int + ?::int AS sum, ? AS word")) {
            statement.setInt(1, 40);
            statement.setInt(2, 2);
            statement.setString(3, "x");
            show("parameters", statement.getParameterMetaData().getParameterTypeName(1), statement.getMetaData().getColumnTypeName(2));
            rows("sum", statement.executeQuery());
        }
        try (Statement statement = connection.createStatement()) {
            statement.execute("SELECT 1 AS one; INSERT INTO item (word) VALUES ('of several'); SELECT 2 AS two");
            rows("several", statement.getResultSet());
            statement.getMoreResults();
            show("several", statement.getUpdateCount());
            statement.getMoreResults();
            rows("several", statement.getResultSet());
        }
    }

    static void batches(Connection connection) throws SQLException {
        execute(connection, "CREATE TABLE batched (id int PRIMARY KEY, n int, at timestamptz)");
        for (boolean autocommit : new boolean[] {true, false}) {
            connection.setAutoCommit(autocommit);
            int base = autocommit ? 0 : 1000;
            try (PreparedStatement statement = connection.prepareStatement("INSERT INTO batched (id, n) VALUES (?, ?)")) {
                for (int id = 0; id < 300; id++) {
                    statement.setInt(1, base + id);
                    statement.setInt(2, id);
                    statement.addBatch();
                }
                int[] counts = statement.executeBatch();
                show("batch", counts.length, Arrays.stream(counts).filter(count -> count == 1 || count == Statement.SUCCESS_NO_INFO).count());
            }
            try (PreparedStatement statement = connection.prepareStatement("UPDATE batched SET n = n + ? WHERE id = ?")) {
                for (int id = 0; id < 20; id++) {
                    statement.setInt(1, 1);
                    statement.setInt(2, base + id * 50);
                    statement.addBatch();
                }
                show("batch of updates", statement.executeBatch());
            }
            try (PreparedStatement statement = connection.prepareStatement("INSERT INTO batched (id, n) VALUES (?, ?)", Statement.RETURN_GENERATED_KEYS)) {
                for (int id = 400; id < 403; id++) {
                    statement.setInt(1, base + id);
                    statement.setInt(2, 0);
                    statement.addBatch();
                }
                statement.executeBatch();
                rows("batch keys", statement.getGeneratedKeys());
            }
            if (!autocommit) connection.commit();
            try (PreparedStatement statement = connection.prepareStatement("INSERT INTO batched (id, n) VALUES (?, ?)")) {
                for (int id : new int[] {500, 7, 501}) {
                    statement.setInt(1, base + id);
                    statement.setInt(2, 0);
                    statement.addBatch();
                }
                refused("batch refused", statement::executeBatch);
            }
            if (!autocommit) connection.rollback();
            try (Statement statement = connection.createStatement()) {
                statement.addBatch("UPDATE batched SET n = 0 WHERE id = 1");
                statement.addBatch("DELETE FROM batched WHERE id = 2");
                statement.addBatch("INSERT INTO batched (id) VALUES (2)");
                show("batch of texts", statement.executeBatch());
            }
            if (!autocommit) connection.commit();
        }
        connection.setAutoCommit(true);
        query(connection, "batched", "SELECT count(*), sum(n), max(id) FROM batched");
    }

    static void cursors(Connection connection) throws SQLException {
        connection.setAutoCommit(false);
        for (int fetch : new int[] {0, 50, 7}) {
            try (PreparedStatement statement = connection.prepareStatement("SELECT id FROM batched WHERE id >= ? ORDER BY id")) {
                statement.setFetchSize(fetch);
                statement.setInt(1, 1000);
                try (ResultSet result = statement.executeQuery()) {
                    int count = 0;
                    long sum = 0;
                    while (result.next()) {
                        sum += result.getInt(1);
                        // Another statement while the portal is open.
                        if (count++ == 20) execute(connection, "UPDATE batched SET n = n + 1 WHERE id = 3");
                        if (count == 40) query(connection, "beside", "SELECT n FROM batched WHERE id = 3");
                    }
                    show("by parts", fetch, count, sum);
                }
            }
        }
        connection.commit();
        try (Statement statement = connection.createStatement()) {
            statement.setFetchSize(10);
            ResultSet result = statement.executeQuery("SELECT id FROM batched ORDER BY id");
            result.next();
            show("left early", result.getInt(1));
            result.close();
            statement.setMaxRows(3);
            rows("at most", statement.executeQuery("SELECT id FROM batched ORDER BY id"));
        }
        connection.rollback();
        try (Statement statement = connection.createStatement(ResultSet.TYPE_SCROLL_INSENSITIVE, ResultSet.CONCUR_UPDATABLE)) {
            ResultSet result = statement.executeQuery("SELECT id, n FROM batched WHERE id < 5 ORDER BY id");
            result.absolute(4);
            result.updateInt("n", 77);
            result.updateRow();
            result.previous();
            show("scrolled", result.getInt(1));
            result.close();
        }
        connection.commit();
        connection.setAutoCommit(true);
        query(connection, "updated", "SELECT n FROM batched WHERE id < 5 ORDER BY id");
    }

    static void transactions(Connection connection) throws SQLException {
        connection.setAutoCommit(false);
        try (PreparedStatement statement = connection.prepareStatement("DELETE FROM item WHERE id > ?")) {
            statement.setInt(1, 0);
            show("deleted", statement.executeUpdate());
        }
        connection.rollback();
        Savepoint savepoint = connection.setSavepoint("one");
        refused("unique", () -> execute(connection, "INSERT INTO item (id) VALUES (1)"));
        refused("failed transaction", () -> query(connection, "never", "SELECT 1"));
        connection.rollback(savepoint);
        execute(connection, "INSERT INTO item (word) VALUES ('behind the savepoint')");
        connection.releaseSavepoint(savepoint);
        connection.commit();
        connection.setReadOnly(true);
        refused("read only", () -> execute(connection, "INSERT INTO item (word) VALUES ('never')"));
        connection.rollback();
        query(connection, "read", "SELECT count(*) FROM item");
        connection.commit();
        connection.setReadOnly(false);
        connection.setTransactionIsolation(Connection.TRANSACTION_SERIALIZABLE);
        query(connection, "isolation", "SHOW transaction_isolation");
        execute(connection, "UPDATE item SET flag = true WHERE id = 2");
        connection.commit();
        connection.setTransactionIsolation(Connection.TRANSACTION_READ_COMMITTED);
        connection.setAutoCommit(true);
    }

    static void changes(Connection connection) throws SQLException {
        execute(connection, "CREATE TABLE changing (id int PRIMARY KEY, word text)");
        execute(connection, "INSERT INTO changing VALUES (1, 'x')");
        try (PreparedStatement statement = connection.prepareStatement("SELECT * FROM changing WHERE id = ?")) {
            for (int round = 0; round < 16; round++) {
                if (round == 8) execute(connection, "ALTER TABLE changing ADD COLUMN more int DEFAULT 5");
                statement.setInt(1, 1);
                refused("changing " + round, () -> rows("changing", statement.executeQuery()));
            }
        }
    }

    static void calls(Connection connection) throws SQLException {
        execute(connection, "CREATE FUNCTION twice(n int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT n * 2'");
        try (CallableStatement statement = connection.prepareCall("{? = call twice(?::int)}")) {
            for (int round = 0; round < 7; round++) {
                statement.registerOutParameter(1, Types.INTEGER);
                statement.setInt(2, round);
                statement.execute();
                show("called", statement.getInt(1));
            }
        }
    }

    static void errors(Connection connection) throws SQLException {
        refused("syntax", () -> query(connection, "never", "SELECT 'ä', FROM item"));
        refused("column", () -> execute(connection, "UPDATE item SET nothing = 1"));
        try (PreparedStatement statement = connection.prepareStatement("SELECT 1 / ?")) {
            for (int divisor : new int[] {1, 1, 0, 1, 0, 1, 1, 0}) {
                statement.setInt(1, divisor);
                refused("division", () -> rows("divided", statement.executeQuery()));
            }
        }
        execute(connection, "DO $$ BEGIN RAISE NOTICE 'ä notice'; END $$");
        query(connection, "afterwards", "SELECT 'goes on'");
    }

    static void copies(Connection connection) throws Exception {
        execute(connection, "CREATE TABLE sheet (n integer PRIMARY KEY, word text)");
        CopyManager manager = connection.unwrap(PGConnection.class).getCopyAPI();
        StringBuilder text = new StringBuilder();
        for (int n = 0; n < 3000; n++) text.append(n).append("\tä").append(n).append('\n');
        show("copied in", manager.copyIn("COPY sheet FROM STDIN", new StringReader(text.toString())));
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        show("copied out", manager.copyOut("COPY (SELECT * FROM sheet ORDER BY n) TO STDOUT", out), out.toString(StandardCharsets.UTF_8).contentEquals(text));
        refused("COPY refused", () -> {
            try {
                manager.copyIn("COPY sheet FROM STDIN", new StringReader("-1\tnever\n5\ttwice\n"));
            } catch (java.io.IOException error) {
                throw new SQLException(error);
            }
        });
        query(connection, "sheet", "SELECT count(*), sum(n) FROM sheet");
    }

    static void asynchronous(Connection connection) throws Exception {
        PGConnection pg = connection.unwrap(PGConnection.class);
        execute(connection, "LISTEN bell");
        try (PreparedStatement statement = connection.prepareStatement("SELECT pg_notify(?, ?)")) {
            for (String payload : new String[] {"ünï", "twice"}) {
                statement.setString(1, "bell");
                statement.setString(2, payload);
                statement.executeQuery().close();
            }
        }
        int heard = 0;
        for (int wait = 0; heard < 2 && wait < 30; wait++) {
            PGNotification[] found = pg.getNotifications(1000);
            if (found == null) continue;
            for (PGNotification one : found) {
                show("notification", one.getName(), one.getParameter());
                heard++;
            }
        }
        execute(connection, "UNLISTEN *");
        try (Statement statement = connection.createStatement()) {
            statement.setQueryTimeout(1);
            refused("timed out", () -> statement.executeQuery("SELECT pg_sleep(30)"));
            statement.setQueryTimeout(0);
            Thread canceller = new Thread(() -> {
                try {
                    while (true) {
                        Thread.sleep(300);
                        statement.cancel();
                    }
                } catch (InterruptedException end) {
                    // The statement has ended.
                } catch (SQLException error) {
                    throw new IllegalStateException(error);
                }
            });
            canceller.start();
            refused("cancelled", () -> statement.executeQuery("SELECT pg_sleep(30)"));
            canceller.interrupt();
            canceller.join();
        }
        query(connection, "afterwards", "SELECT 'goes on'");
    }

    public static void main(String[] arguments) throws Exception {
        String url = arguments[0] + "?user=postgres&ApplicationName=scenario&socketTimeout=40" + (arguments.length > 1 ? "&" + arguments[1] : "");
        try (Connection connection = DriverManager.getConnection(url)) {
            show("server", connection.getMetaData().getDatabaseProductVersion(), connection.getClientInfo("ApplicationName"));
            values(connection);
            batches(connection);
            cursors(connection);
            transactions(connection);
            changes(connection);
            calls(connection);
            errors(connection);
            copies(connection);
            asynchronous(connection);
        }
    }
}
