package main

import (
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/msgorch/msgorch/internal/testenv"
	"github.com/msgorch/msgorch/migrations"
)

func TestMigrateUpDownAndStatus(t *testing.T) {
	t.Parallel()
	env := environment{"DATABASE_URL": testenv.EmptyPostgres(t)}
	status := func() migrations.State {
		return as[migrations.State](t, env.run(t, "migrate", "status", "-o", "json").want(t, exitOK))
	}
	latest := status().Latest
	files, err := filepath.Glob("../../migrations/*.up.sql")
	if err != nil || len(files) < 2 {
		t.Fatalf("migrations: %v, %v", files, err)
	}
	number, _, _ := strings.Cut(filepath.Base(files[len(files)-2]), "_")
	before, err := strconv.ParseUint(number, 10, 32) // numbers may be left out
	if err != nil {
		t.Fatal(err)
	}
	steps := []struct {
		args []string
		want uint
	}{
		{[]string{"migrate", "down"}, 0}, // there is nothing to take back
		{[]string{"migrate", "up"}, latest},
		{[]string{"migrate", "up"}, latest},
		{[]string{"migrate", "down"}, uint(before)},
		{[]string{"migrate", "up"}, latest},
		{[]string{"migrate", "down", "--steps", "99"}, 0},
	}
	for _, s := range steps {
		env.run(t, s.args...).want(t, exitOK)
		if diff := cmp.Diff(migrations.State{Version: s.want, Latest: latest}, status()); diff != "" {
			t.Fatalf("after %v (-want +got):\n%s", s.args, diff)
		}
	}
}
