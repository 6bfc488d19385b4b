package main

import (
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
	steps := []struct {
		args []string
		want uint
	}{
		{[]string{"migrate", "down"}, 0}, // there is nothing to take back
		{[]string{"migrate", "up"}, latest},
		{[]string{"migrate", "up"}, latest},
		{[]string{"migrate", "down"}, latest - 1},
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
