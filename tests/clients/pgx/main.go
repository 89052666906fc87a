// A day in the life of pgx. Prints what it saw, a line each: the same from a server and from a proxy in front of it.
// The DSN carries default_query_exec_mode=simple_protocol.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

func show(what string, values ...any) {
	fmt.Printf("%s: %v\n", what, values)
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func refused(ctx context.Context, what string, conn *pgx.Conn, sql string, args ...any) {
	_, err := conn.Exec(ctx, sql, args...)
	var pgErr *pgconn.PgError
	if !errors.As(err, &pgErr) {
		show(what, "no PostgreSQL error", err)
		return
	}
	show(what, pgErr.Severity, pgErr.Code, pgErr.Message, pgErr.Detail, pgErr.SchemaName, pgErr.TableName, pgErr.ColumnName,
		pgErr.ConstraintName, pgErr.Position, conn.PgConn().TxStatus())
}

type item struct {
	ID      int32
	Word    *string
	Bytes   []byte
	Moment  *time.Time
	Numbers []int64
	Words   []string
	Real    *float64
	Flag    *bool
	Data    map[string]any
}

const columns = "id, word, bytes, moment, numbers, words, real, flag, data"

func values(ctx context.Context, conn *pgx.Conn) {
	_, err := conn.Exec(ctx, `CREATE TABLE item (id serial PRIMARY KEY, word text CONSTRAINT item_word_once UNIQUE, bytes bytea,
		moment timestamptz, numbers bigint[], words text[], real float8, flag boolean, data jsonb)`)
	must(err)
	word, flag, number := "ünïcödé 日本語 'quoted' \\ back $1", true, math.Inf(-1)
	moment := time.Date(2024, 2, 29, 12, 30, 15, 123456000, time.UTC)
	rows := []item{
		{0, &word, []byte{0, 1, 0x5c, 0x27, 0xff}, &moment, []int64{1, math.MinInt64}, []string{`a"b`, "c,d", `e\f`, "NULL"}, &number, &flag,
			map[string]any{"ä": []any{1.5, nil, "\\"}}},
		{},
	}
	for _, row := range rows {
		var id int32
		var data *string // in this mode a document travels as text
		if row.Data != nil {
			text, err := json.Marshal(row.Data)
			must(err)
			data = new(string)
			*data = string(text)
		}
		must(conn.QueryRow(ctx, `INSERT INTO item (word, bytes, moment, numbers, words, real, flag, data)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING id`,
			row.Word, row.Bytes, row.Moment, row.Numbers, row.Words, row.Real, row.Flag, data).Scan(&id))
		show("inserted", id)
	}
	found, err := conn.Query(ctx, "SELECT "+columns+" FROM item WHERE id < $1 ORDER BY id", 100)
	must(err)
	read, err := pgx.CollectRows(found, pgx.RowToStructByPos[item])
	must(err)
	for _, row := range read {
		if row.Word != nil {
			show("row", row.ID, *row.Word, row.Bytes, row.Moment.UTC(), row.Numbers, row.Words, *row.Real, *row.Flag, row.Data)
		} else {
			show("row", row)
		}
	}
}

func transactions(ctx context.Context, conn *pgx.Conn) {
	must(pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, "UPDATE item SET flag = $1 WHERE id = $2", false, 2)
		show("updated", tag)
		return err
	}))
	leave := errors.New("leave")
	err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, "DELETE FROM item")
		must(err)
		show("deleted", tag)
		return leave
	})
	show("left", err == leave)
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	must(err)
	inner, err := tx.Begin(ctx)
	must(err)
	refused(ctx, "unique", conn, "INSERT INTO item (id) VALUES ($1)", 2)
	refused(ctx, "failed transaction", conn, "SELECT 1")
	must(inner.Rollback(ctx))
	_, err = tx.Exec(ctx, "INSERT INTO item (word) VALUES ($1)", "behind the savepoint")
	must(err)
	must(tx.Commit(ctx))
	var count int
	must(conn.QueryRow(ctx, "SELECT count(*) FROM item").Scan(&count))
	show("count", count)
	_, err = conn.Exec(ctx, "SELECT 1; INSERT INTO item (word) VALUES ('one of two'); INSERT INTO item (word) VALUES ('two of two')")
	must(err)
}

func refusals(ctx context.Context, conn *pgx.Conn) {
	refused(ctx, "constraint", conn, "INSERT INTO item (word) VALUES ($1)", "one of two")
	refused(ctx, "syntax", conn, "SELECT 'ä', FROM item")
	refused(ctx, "division", conn, "SELECT 1 / $1::int", 0)
	var answer string
	must(conn.QueryRow(ctx, "SELECT $1::text", "goes on").Scan(&answer))
	show("afterwards", answer)
}

func copies(ctx context.Context, conn *pgx.Conn) {
	_, err := conn.Exec(ctx, "CREATE TABLE sheet (n integer PRIMARY KEY, word text)")
	must(err)
	var text strings.Builder
	for n := 0; n < 5000; n++ {
		fmt.Fprintf(&text, "%d\tä%d\n", n, n)
	}
	tag, err := conn.PgConn().CopyFrom(ctx, strings.NewReader(text.String()), "COPY sheet FROM STDIN")
	must(err)
	show("copied in", tag)
	var out bytes.Buffer
	tag, err = conn.PgConn().CopyTo(ctx, &out, "COPY (SELECT * FROM sheet ORDER BY n) TO STDOUT")
	must(err)
	show("copied out", tag, out.String() == text.String())
	_, err = conn.PgConn().CopyFrom(ctx, strings.NewReader("1\ttwice\n"), "COPY sheet FROM STDIN")
	show("COPY refused", err)
}

func notifications(ctx context.Context, conn *pgx.Conn) {
	_, err := conn.Exec(ctx, "LISTEN bell")
	must(err)
	_, err = conn.Exec(ctx, "NOTIFY bell, 'ünï'")
	must(err)
	notification, err := conn.WaitForNotification(ctx)
	must(err)
	show("notification", notification.Channel, notification.Payload)
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 45*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, os.Args[1])
	must(err)
	show("server", conn.PgConn().ParameterStatus("server_version"), conn.Config().RuntimeParams["application_name"])
	values(ctx, conn)
	transactions(ctx, conn)
	refusals(ctx, conn)
	copies(ctx, conn)
	notifications(ctx, conn)
	must(conn.Close(ctx))
}
