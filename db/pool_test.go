package db_test

import (
	"testing"
	"time"

	"github.com/msgorch/msgorch/internal/testenv"
)

func TestAConnectionForgetsPlansOfWhatWasThereLongAgo(t *testing.T) {
	t.Parallel()
	pool := testenv.Pool(t)
	conn, err := pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// The estimate is the one of the time of planning.
	estimate := func() float64 {
		return explain(t, conn.Conn(), "EXPLAIN (FORMAT JSON) EXECUTE everyone").Rows
	}
	if _, err := conn.Exec(t.Context(), `
		SET plan_cache_mode = force_generic_plan;
		CREATE TABLE people AS SELECT 1 AS n;
		ANALYZE people;
		PREPARE everyone AS SELECT * FROM people`); err != nil {
		t.Fatal(err)
	}
	before := estimate()
	if _, err := conn.Exec(t.Context(), "INSERT INTO people SELECT generate_series(1, 10000)"); err != nil {
		t.Fatal(err)
	}
	if got := estimate(); got != before {
		t.Fatalf("the plan did not last: it expects %v rows, then %v", before, got)
	}

	conn.Conn().PgConn().CustomData()["msgorch_planned_at"] = time.Now().Add(-time.Hour)
	conn.Release()
	if conn, err = pool.Acquire(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer conn.Release()

	if got := estimate(); got < 10*before {
		t.Errorf("the plan expects %v rows of 10001, as it did when there was one", got)
	}
}
