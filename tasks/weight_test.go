package tasks_test

import (
	"os/exec"
	"strings"
	"testing"
)

// Programs that import tasks must not link PostgreSQL, HTTP servers or us.
// depguard sees direct imports only; this sees all of them.
func TestImportWeight(t *testing.T) {
	t.Parallel()
	asynqs := dependencies(t, "github.com/hibiken/asynq")
	ours := dependencies(t, ".")
	for path := range ours {
		first, _, _ := strings.Cut(path, "/")
		if strings.Contains(first, ".") && !asynqs[path] && path != "github.com/msgorch/msgorch/tasks" {
			t.Errorf("tasks links %s, which asynq does not", path)
		}
		for _, heavy := range []string{"jackc/", "golang-migrate/", "asynqmon", "huma", "msgorch/internal", "msgorch/db"} {
			if strings.Contains(path, heavy) {
				t.Errorf("tasks links %s", path)
			}
		}
	}
	if !ours["github.com/hibiken/asynq"] {
		t.Error("tasks does not link asynq: this test looks at the wrong thing")
	}
}

func dependencies(t *testing.T, pkg string) map[string]bool {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", pkg).Output()
	if err != nil {
		t.Fatalf("go list -deps %s: %v", pkg, err)
	}
	set := map[string]bool{}
	for path := range strings.FieldsSeq(string(out)) {
		set[path] = true
	}
	return set
}
