// A day in the life of pgx, in the execution mode that the connection string names, by default with prepared statements.
// Prints what it sees: the same from a server and from a proxy in front of it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

func show(what string, values ...any) {
	fmt.Printf("%s: %+v\n", what, values)
}

func must(err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "unexpected: %v\n", err)
		os.Exit(1)
	}
}

// refused prints what the server refused, and nothing of what pgx adds.
func refused(what string, err error) {
	var told *pgconn.PgError
	if !errors.As(err, &told) {
		show(what, "no error of the server:", err)
		return
	}
	show(what, told.Severity, told.Code, told.Message, told.Detail, told.Hint, told.Position, told.TableName, told.ColumnName, told.ConstraintName)
}

type place struct {
	X    int32
	Name *string
}

func values(ctx context.Context, conn *pgx.Conn) {
	_, err := conn.Exec(ctx, `CREATE TABLE item (id serial PRIMARY KEY, word text CONSTRAINT item_word_once UNIQUE, bytes bytea,
		moment timestamptz, day date, numbers int8[], words text[], real float8, flag boolean, exact numeric, data jsonb, tag uuid)`)
	must(err)
	text := "ünïcödé 日本語 😀 'quoted' \\ $1"
	for number, word := range []*string{&text, new(string), nil} {
		var id int
		moment := time.Date(2024, 2, 29, 12, 30, 15, 123456000, time.UTC)
		must(conn.QueryRow(ctx, `INSERT INTO item (word, bytes, moment, day, numbers, words, real, flag, exact, data, tag)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) RETURNING id`,
			word, []byte{0, 255, '\\', '\''}, moment, moment.Truncate(24*time.Hour), []int64{1, -3, 1 << 40}, []string{"a\"b", "c,d", ""}, 0.1*float64(number), number == 1,
			pgtype.Numeric{Int: nil, Valid: false}, `{"ä": [1, null]}`, "00000000-0000-0000-0000-000000000007").Scan(&id))
		show("inserted", id)
	}
	rows, err := conn.Query(ctx, "SELECT * FROM item WHERE id < $1 ORDER BY id", 100)
	must(err)
	for _, field := range rows.FieldDescriptions() {
		show("column", field.Name, field.DataTypeOID)
	}
	for rows.Next() {
		found, err := rows.Values()
		must(err)
		show("row", found...)
	}
	must(rows.Err())
	var both int
	must(conn.QueryRow(ctx, "SELECT $1::int + $2::int", 40, 2).Scan(&both))
	show("sum", both)
	var word string
	must(conn.QueryRow(ctx, "SELECT word FROM item WHERE tag = $1 AND numbers @> $2::int8[] AND word <> ''", "00000000-0000-0000-0000-000000000007", []int64{1}).Scan(&word))
	show("found", word)
	_, err = conn.Exec(ctx, "SELECT 1; INSERT INTO item (word) VALUES ('one of two'); INSERT INTO item (word) VALUES ('two of two')")
	if err != nil {
		refused("several", err)
		_, err = conn.Exec(ctx, "INSERT INTO item (word) VALUES ('one of two'), ('two of two')")
		must(err)
	}
}

// own creates types whose OIDs are other ones on each server.
func own(ctx context.Context, conn *pgx.Conn, mode pgx.QueryExecMode) {
	_, err := conn.Exec(ctx, "CREATE TYPE mood AS ENUM ('fine', 'so so')")
	must(err)
	_, err = conn.Exec(ctx, "CREATE TYPE place AS (x int, name text)")
	must(err)
	_, err = conn.Exec(ctx, "CREATE TABLE visit (id int PRIMARY KEY, mood mood, moods mood[], place place)")
	must(err)
	for _, name := range []string{"mood", "_mood", "place"} {
		loaded, err := conn.LoadType(ctx, name)
		must(err)
		conn.TypeMap().RegisterType(loaded)
	}
	name := "ä, (\"b\")"
	for id := 0; id < 8; id++ {
		if mode == pgx.QueryExecModeExec || mode == pgx.QueryExecModeSimpleProtocol {
			// Without a description pgx knows only what it can tell from the value.
			_, err = conn.Exec(ctx, "INSERT INTO visit VALUES ($1, $2, $3, ROW($4::int, $5::text)::place)", id, "so so", []string{"fine", "so so"}, id, name)
		} else {
			_, err = conn.Exec(ctx, "INSERT INTO visit VALUES ($1, $2, $3, $4::place)", id, "so so", []string{"fine", "so so"}, place{int32(id), &name})
		}
		must(err)
	}
	rows, err := conn.Query(ctx, "SELECT id, mood::text, moods::text[], place::text FROM visit WHERE mood = $1 ORDER BY id", "so so")
	must(err)
	for rows.Next() {
		found, err := rows.Values()
		must(err)
		show("visit", found...)
	}
	must(rows.Err())
}

func repeated(ctx context.Context, conn *pgx.Conn) {
	for number := 0; number < 10; number++ {
		_, err := conn.Exec(ctx, "UPDATE item SET real = real + $1 WHERE id = $2", 1.5, number%3+1)
		must(err)
		var real float64
		must(conn.QueryRow(ctx, "SELECT real FROM item WHERE id = $1", number%3+1).Scan(&real))
		show("repeated", real)
	}
	_, err := conn.Prepare(ctx, "by name", "SELECT word FROM item WHERE id = $1")
	must(err)
	var word string
	must(conn.QueryRow(ctx, "by name", 4).Scan(&word))
	show("by name", word)
	must(conn.Deallocate(ctx, "by name"))
	_, err = conn.Exec(ctx, "CREATE TABLE changing (id int PRIMARY KEY, word text)")
	must(err)
	_, err = conn.Exec(ctx, "INSERT INTO changing VALUES ($1, $2)", 1, "x")
	must(err)
	// A statement whose columns change is refused once by a server, and described anew by pgx.
	for _, change := range []string{"", "ALTER TABLE changing ADD COLUMN more int DEFAULT 5", "", "ALTER TABLE changing DROP COLUMN word", ""} {
		if change != "" {
			_, err = conn.Exec(ctx, change)
			must(err)
		}
		rows, err := conn.Query(ctx, "SELECT * FROM changing WHERE id = $1", 1)
		if err == nil {
			for rows.Next() {
				found, err := rows.Values()
				must(err)
				show("changing", found...)
			}
			err = rows.Err()
		}
		if err != nil {
			refused("changing", err)
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
		tag, err := tx.Exec(ctx, "DELETE FROM item WHERE id > $1", 0)
		must(err)
		show("deleted", tag)
		return leave
	})
	show("left", err == leave)
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	must(err)
	inner, err := tx.Begin(ctx)
	must(err)
	_, err = inner.Exec(ctx, "INSERT INTO item (id) VALUES ($1)", 2)
	refused("unique", err)
	_, err = inner.Exec(ctx, "SELECT $1::int", 1)
	refused("failed transaction", err)
	must(inner.Rollback(ctx))
	_, err = tx.Exec(ctx, "INSERT INTO item (word) VALUES ($1)", "behind the savepoint")
	must(err)
	must(tx.Commit(ctx))
	readOnly, err := conn.BeginTx(ctx, pgx.TxOptions{AccessMode: pgx.ReadOnly})
	must(err)
	_, err = readOnly.Exec(ctx, "INSERT INTO item (word) VALUES ($1)", "never")
	refused("read only", err)
	must(readOnly.Rollback(ctx))
	// A cursor of SQL, with parameters.
	tx, err = conn.Begin(ctx)
	must(err)
	_, err = tx.Exec(ctx, "DECLARE walk CURSOR FOR SELECT id FROM item ORDER BY id")
	must(err)
	for part := 0; part < 3; part++ {
		rows, err := tx.Query(ctx, "FETCH 2 FROM walk")
		must(err)
		ids, err := pgx.CollectRows(rows, pgx.RowTo[int])
		must(err)
		show("fetched", ids)
	}
	must(tx.Rollback(ctx))
}

func refusals(ctx context.Context, conn *pgx.Conn) {
	_, err := conn.Exec(ctx, "INSERT INTO item (word) VALUES ($1)", "one of two")
	refused("constraint", err)
	_, err = conn.Exec(ctx, "SELECT 'ä', FROM item")
	refused("syntax", err)
	_, err = conn.Exec(ctx, "SELECT 1 / $1::int", 0)
	refused("division", err)
	_, err = conn.Exec(ctx, "UPDATE item SET nothing = $1", 1)
	refused("column", err)
	rows, err := conn.Query(ctx, "SELECT 6 / (3 - n) FROM generate_series($1::int, $2::int) AS n", 1, 5)
	must(err)
	count := 0
	for rows.Next() {
		count++
	}
	show("rows before the error", count)
	refused("in the middle", rows.Err())
	var answer string
	must(conn.QueryRow(ctx, "SELECT $1::text", "goes on").Scan(&answer))
	show("afterwards", answer)
}

func batches(ctx context.Context, conn *pgx.Conn) {
	_, err := conn.Exec(ctx, "CREATE TABLE batched (id int PRIMARY KEY, n int)")
	must(err)
	batch := &pgx.Batch{}
	for id := 0; id < 50; id++ {
		batch.Queue("INSERT INTO batched VALUES ($1, $2)", id, id*2)
		if id%10 == 0 {
			batch.Queue("SELECT count(*) FROM batched WHERE n >= $1", 0)
		}
	}
	batch.Queue("UPDATE batched SET n = n + 1 WHERE id < $1 RETURNING n", 3)
	results := conn.SendBatch(ctx, batch)
	for id := 0; id < 50; id++ {
		tag, err := results.Exec()
		must(err)
		if id%10 == 0 {
			var count int
			must(results.QueryRow().Scan(&count))
			show("batch", tag, count)
		}
	}
	rows, err := results.Query()
	must(err)
	changed, err := pgx.CollectRows(rows, pgx.RowTo[int])
	must(err)
	show("batch, returned", changed)
	must(results.Close())

	// A batch is one transaction: an error leaves nothing of it.
	wrong := &pgx.Batch{}
	wrong.Queue("INSERT INTO batched VALUES ($1, $2)", 100, 0)
	wrong.Queue("INSERT INTO batched VALUES ($1, $2)", 7, 0)
	wrong.Queue("INSERT INTO batched VALUES ($1, $2)", 101, 0)
	refused("batch refused", conn.SendBatch(ctx, wrong).Close())
	must(pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		inside := &pgx.Batch{}
		inside.Queue("DELETE FROM batched WHERE id = $1", 49)
		inside.Queue("SELECT count(*) FROM batched WHERE id >= $1", 0).QueryRow(func(row pgx.Row) error {
			var count int
			err := row.Scan(&count)
			show("batch in a transaction", count)
			return err
		})
		return tx.SendBatch(ctx, inside).Close()
	}))
	var count, sum int
	must(conn.QueryRow(ctx, "SELECT count(*), sum(n) FROM batched").Scan(&count, &sum))
	show("batched", count, sum)
}

// pipelines uses the pipeline below pgx's own batches, with parts that each end in a Sync.
func pipelines(ctx context.Context, conn *pgx.Conn) {
	pipeline := conn.PgConn().StartPipeline(ctx)
	pipeline.SendPrepare("piped", "INSERT INTO batched VALUES ($1, 0) RETURNING id", nil)
	pipeline.SendQueryPrepared("piped", [][]byte{[]byte("200")}, nil, nil)
	must(pipeline.Sync())
	pipeline.SendQueryPrepared("piped", [][]byte{[]byte("201")}, nil, nil)
	pipeline.SendQueryPrepared("piped", [][]byte{[]byte("200")}, nil, nil)
	must(pipeline.Sync())
	pipeline.SendQueryParams("SELECT id FROM batched WHERE id >= $1 ORDER BY id", [][]byte{[]byte("200")}, nil, nil, nil)
	pipeline.SendDeallocate("piped")
	must(pipeline.Sync())
	syncs := 0
	for syncs < 3 {
		results, err := pipeline.GetResults()
		var told *pgconn.PgError
		if errors.As(err, &told) {
			refused("pipeline", err)
			continue
		}
		must(err)
		switch result := results.(type) {
		case *pgconn.PipelineSync:
			syncs++
			show("pipeline, synced")
		case *pgconn.StatementDescription:
			show("pipeline, prepared", result.ParamOIDs, len(result.Fields))
		case *pgconn.ResultReader:
			read := result.Read()
			if read.Err != nil {
				refused("pipeline", read.Err)
			} else {
				show("pipeline", read.CommandTag, read.Rows)
			}
		case *pgconn.CloseComplete:
			show("pipeline, closed")
		}
	}
	must(pipeline.Close())
}

func copies(ctx context.Context, conn *pgx.Conn) {
	_, err := conn.Exec(ctx, "CREATE TABLE sheet (n integer PRIMARY KEY, word text, moment timestamptz)")
	must(err)
	rows := make([][]any, 3000)
	for n := range rows {
		rows[n] = []any{int32(n), fmt.Sprintf("ä%d", n), time.Unix(int64(n), 0)}
	}
	count, err := conn.CopyFrom(ctx, pgx.Identifier{"sheet"}, []string{"n", "word", "moment"}, pgx.CopyFromRows(rows))
	must(err)
	show("copied", count)
	_, err = conn.CopyFrom(ctx, pgx.Identifier{"sheet"}, []string{"n", "word"}, pgx.CopyFromRows([][]any{{int32(-1), "never"}, {int32(5), "twice"}}))
	refused("COPY refused", err)
	_, err = conn.CopyFrom(ctx, pgx.Identifier{"sheet"}, []string{"n"}, pgx.CopyFromFunc(func() ([]any, error) {
		return nil, errors.New("changed its mind")
	}))
	show("COPY given up", err)
	var sum int
	must(conn.QueryRow(ctx, "SELECT sum(n) FROM sheet WHERE n >= $1", -5).Scan(&sum))
	show("sum", sum)
}

func notifications(ctx context.Context, conn *pgx.Conn) {
	_, err := conn.Exec(ctx, "LISTEN bell")
	must(err)
	_, err = conn.Exec(ctx, "SELECT pg_notify($1, $2)", "bell", "ünï")
	must(err)
	notification, err := conn.WaitForNotification(ctx)
	must(err)
	show("notification", notification.Channel, notification.Payload, notification.PID == conn.PgConn().PID())
	_, err = conn.Exec(ctx, "UNLISTEN *")
	must(err)
}

func cancels(ctx context.Context, conn *pgx.Conn) {
	done := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-done:
				return
			case <-time.After(300 * time.Millisecond):
				must(conn.PgConn().CancelRequest(ctx))
			}
		}
	}()
	_, err := conn.Exec(ctx, "SELECT pg_sleep($1)", 30)
	refused("cancelled", err)
	close(done)
	<-ended
	// A request under way may still find the next statement.
	var answer string
	for conn.QueryRow(ctx, "SELECT $1::text", "goes on").Scan(&answer) != nil {
	}
	show("afterwards", answer)
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, os.Args[1])
	must(err)
	mode := conn.Config().DefaultQueryExecMode
	show("server", conn.PgConn().ParameterStatus("server_version"), conn.Config().RuntimeParams["application_name"])
	values(ctx, conn)
	own(ctx, conn, mode)
	repeated(ctx, conn)
	transactions(ctx, conn)
	refusals(ctx, conn)
	batches(ctx, conn)
	if mode != pgx.QueryExecModeSimpleProtocol {
		pipelines(ctx, conn)
	}
	copies(ctx, conn)
	notifications(ctx, conn)
	cancels(ctx, conn)
	must(conn.Close(ctx))
}
