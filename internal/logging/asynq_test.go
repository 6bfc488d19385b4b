package logging_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hibiken/asynq"

	"github.com/msgorch/msgorch/internal/logging"
)

var _ asynq.Logger = logging.AsynqLogger{}

func TestAsynqSpeaksOneLevelLowerAndNeverExits(t *testing.T) {
	t.Parallel()
	log, _, out := newLogger(t, "trace")
	said := logging.Asynq(log)

	said.Debug("queue=", "bulk", " n=", 1)
	said.Info("b")
	said.Warn("c")
	said.Error("d")
	said.Fatal("e\nf")

	var want []map[string]any
	for _, l := range [][2]string{{"trace", "queue=bulk n=1"}, {"debug", "b"}, {"warn", "c"}, {"error", "d"}, {"error", "e\nf"}} {
		want = append(want, map[string]any{
			"level": l[0], "msg": "asynq.logged", "app": "msgorch", "component": "asynq", "detail": l[1],
		})
	}
	if diff := cmp.Diff(want, lines(t, out)); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

func TestAsynqIsQuietedByItsDirective(t *testing.T) {
	t.Parallel()
	log, _, out := newLogger(t, "trace,asynq=error")

	logging.Asynq(log).Warn("c")

	if out.Len() > 0 {
		t.Errorf("lines = %q, want none", out)
	}
}
