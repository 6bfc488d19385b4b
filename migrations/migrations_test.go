package migrations_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/msgorch/msgorch/internal/testenv"
	"github.com/msgorch/msgorch/migrations"
)

// steps returns the numbers of all steps, as their files say. Some may be missing.
func steps(t *testing.T) (numbers []uint) {
	t.Helper()
	ups, err := filepath.Glob("*.up.sql")
	if err != nil || len(ups) == 0 {
		t.Fatalf("migrations: %v, %v", ups, err)
	}
	for _, name := range ups {
		n, err := strconv.ParseUint(name[:6], 10, 32)
		if err != nil {
			t.Fatal(err)
		}
		numbers = append(numbers, uint(n))
	}
	return numbers
}

func up(t *testing.T, url string) {
	t.Helper()
	if err := migrations.Up(t.Context(), url); err != nil {
		t.Fatal(err)
	}
}

func status(t *testing.T, url string) migrations.State {
	t.Helper()
	s, err := migrations.Status(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// query returns one text for each row.
func query(t *testing.T, url, sql string) []string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	rows, err := conn.Query(t.Context(), sql)
	if err != nil {
		t.Fatal(err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// schema describes all that a migration can make, a line for each thing.
func schema(t *testing.T, url string) []string {
	t.Helper()
	return query(t, url, `
		SELECT line FROM (
			SELECT format('column %s.%s %s %s default %s identity %s', table_name, column_name, udt_name,
			              is_nullable, coalesce(column_default, '-'), coalesce(identity_generation, '-')) AS line
			FROM information_schema.columns WHERE table_schema = 'public'
			UNION ALL
			SELECT format('constraint %s %s', conname, pg_get_constraintdef(oid)) FROM pg_constraint
			WHERE connamespace = 'public'::regnamespace
			UNION ALL
			SELECT 'index ' || indexdef FROM pg_indexes WHERE schemaname = 'public'
			UNION ALL
			SELECT format('type %s %s', t.typname, e.enumlabel || e.enumsortorder) FROM pg_type t JOIN pg_enum e ON e.enumtypid = t.oid
			UNION ALL
			SELECT format('relation %s %s %s', relkind, relname, reloptions) FROM pg_class WHERE relnamespace = 'public'::regnamespace
			UNION ALL
			SELECT format('function %s', oid::regprocedure) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
			UNION ALL
			SELECT format('trigger %s', pg_get_triggerdef(oid)) FROM pg_trigger WHERE NOT tgisinternal
		) s ORDER BY line`)
}

func TestUpBuildsAnEmptyDatabase(t *testing.T) {
	t.Parallel()
	url := testenv.EmptyPostgres(t)
	all := steps(t)
	latest := all[len(all)-1]
	if diff := cmp.Diff(migrations.State{Latest: latest}, status(t, url)); diff != "" {
		t.Errorf("before (-want +got):\n%s", diff)
	}
	up(t, url)
	if diff := cmp.Diff(migrations.State{Version: latest, Latest: latest}, status(t, url)); diff != "" {
		t.Errorf("after (-want +got):\n%s", diff)
	}
	before := schema(t, url)
	up(t, url)
	if diff := cmp.Diff(before, schema(t, url)); diff != "" {
		t.Errorf("schema after the second Up (-want +got):\n%s", diff)
	}
}

func TestSeveralProcessesMayMigrateAtOnce(t *testing.T) {
	t.Parallel()
	url := testenv.EmptyPostgres(t)
	errs := make([]error, 4)
	var processes sync.WaitGroup
	for i := range errs {
		processes.Go(func() { errs[i] = migrations.Up(t.Context(), url) })
	}
	processes.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Error(err)
	}
	if s := status(t, url); s.Version != s.Latest || s.Dirty {
		t.Errorf("status = %+v, want the latest version, clean", s)
	}
}

// Every migration can be taken back, even from a database that holds data, and
// taking it again gives the same schema.
func TestDownIsTheInverseOfUp(t *testing.T) {
	t.Parallel()
	url := testenv.EmptyPostgres(t)
	up(t, url)
	before := schema(t, url)
	fill(t, url)

	if err := migrations.Down(t.Context(), url, len(steps(t))); err != nil {
		t.Fatal(err)
	}

	for _, line := range schema(t, url) {
		if !strings.Contains(line, "schema_migrations") {
			t.Errorf("after Down there is still: %s", line)
		}
	}
	if s := status(t, url); s.Version != 0 || s.Dirty {
		t.Errorf("status after Down = %+v, want version 0, clean", s)
	}
	up(t, url)
	if diff := cmp.Diff(before, schema(t, url)); diff != "" {
		t.Errorf("schema after Down and Up (-want +got):\n%s", diff)
	}
}

// fill gives every table a row.
func fill(t *testing.T, url string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	const id = "'0199c2f4-0000-7000-8000-000000000001'"
	_, err = conn.Exec(t.Context(), `
		INSERT INTO instances (name, gateway) VALUES ('sales', 'sandbox');
		INSERT INTO api_keys (id, name, hash, scopes) VALUES (`+id+`, 'test', 'hash', '{send}');
		INSERT INTO contacts (instance_id, jid, name) VALUES (1, '5215550000001@s.whatsapp.net', 'Ana');
		INSERT INTO chats (instance_id, jid) VALUES (1, '5215550000001@s.whatsapp.net');
		INSERT INTO messages (id, instance_id, chat_id, direction, status, type, text, created_at)
		VALUES (`+id+`, 1, 1, 'outbound', 'queued', 'text', 'Hola', now());
		INSERT INTO attempts (message_id, attempt, started_at, duration_ms, outcome) VALUES (`+id+`, 1, now(), 1, 'retry');
		INSERT INTO gateway_events (id, instance_id, event, body, body_hash, state) VALUES (`+id+`, 1, 'e', '{}', 'h', 'pending');
		INSERT INTO early_evidence (instance_id, gateway_message_id, status, at) VALUES (1, 'X', 'read', now());
		INSERT INTO read_receipts (message_id) VALUES (`+id+`);
		INSERT INTO uploads (message_id, data) VALUES (`+id+`, 'file');
		INSERT INTO chats (instance_id, jid) VALUES (1, '7@lid');
		INSERT INTO chat_merges (chat_id, into_id) VALUES (2, 1);
		INSERT INTO groups (chat_id, told_at) VALUES (1, now());
		INSERT INTO group_members (chat_id, address, jid, present, admin, told_at) VALUES (1, '7@lid', '7@lid', true, false, now());
		INSERT INTO labels (instance_id, label, name, color, deleted, told_at) VALUES (1, '1', 'new', 1, false, now());
		INSERT INTO chat_labels (chat_id, label, gateway_message_id, present, told_at) VALUES (1, '1', '', true, now());
		INSERT INTO presence (chat_id, address, jid, state, told_at) VALUES (1, '7@lid', '7@lid', 'composing', now());
		INSERT INTO calls (instance_id, call, chat_id, video, status, rank, started_at, changed_at) VALUES (1, 'C', 1, false, 'offer', 0, now(), now());
		INSERT INTO media (id, message_id, gateway_id, storage_key) VALUES (`+id+`, `+id+`, 'X', '01/x');
		INSERT INTO settings (name, value) VALUES ('log_level', 'info')`)
	if err != nil {
		t.Fatal(err)
	}
	empty := query(t, url, `
		SELECT relname::text FROM pg_class
		WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname <> 'schema_migrations'
		  AND (xpath('/row/n/text()', query_to_xml(format('SELECT count(*) AS n FROM %I', relname), false, true, '')))[1]::text = '0'`)
	if len(empty) > 0 {
		t.Errorf("fill leaves out %v", empty)
	}
}

func TestEachStepCanBeTakenBackAlone(t *testing.T) {
	t.Parallel()
	url := testenv.EmptyPostgres(t)
	up(t, url)
	full := schema(t, url)
	if err := migrations.Down(t.Context(), url, 1); err != nil {
		t.Fatal(err)
	}
	all := steps(t)
	if s, want := status(t, url), all[len(all)-2]; s.Version != want {
		t.Errorf("version = %d after one step down, want %d", s.Version, want)
	}
	up(t, url)
	if diff := cmp.Diff(full, schema(t, url)); diff != "" {
		t.Errorf("schema (-want +got):\n%s", diff)
	}
}

// A name that PostgreSQL makes up changes when columns do, and error handling
// goes by names.
func TestEveryConstraintAndIndexHasANameOfOurs(t *testing.T) {
	t.Parallel()
	var sql strings.Builder
	files, err := filepath.Glob("*.up.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&sql, string(b))
	}
	var ours []string
	for _, m := range regexp.MustCompile(`(?i)(?:CONSTRAINT|INDEX(?: IF NOT EXISTS)?)\s+(\w+)`).FindAllStringSubmatch(sql.String(), -1) {
		ours = append(ours, m[1])
	}
	url := testenv.Postgres(t)
	there := query(t, url, `
		SELECT conname::text FROM pg_constraint c JOIN pg_class r ON r.oid = c.conrelid
		WHERE c.connamespace = 'public'::regnamespace AND contype <> 'n' AND r.relname <> 'schema_migrations'
		UNION
		SELECT indexname::text FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'schema_migrations'
		ORDER BY 1`)
	if len(there) < 20 {
		t.Fatalf("only %d names in the catalog: this test looks at the wrong thing", len(there))
	}
	for _, name := range there {
		if !slices.Contains(ours, name) {
			t.Errorf("%s is a name that PostgreSQL made up", name)
		}
	}
}

func TestAURLThatIsNoneIsNotRepeated(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"postgres://user:s3cr3t@host:port/x", "postgres://user:s3cr3t@127.0.0.1:1/x?connect_timeout=1"} {
		err := migrations.Up(t.Context(), url)
		if err == nil {
			t.Fatalf("Up(%s) succeeded", url)
		}
		if strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("the error shows the password: %v", err)
		}
	}
}

func TestUpEndsWithItsContext(t *testing.T) {
	t.Parallel()
	url := testenv.EmptyPostgres(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := migrations.Up(ctx, url); !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v, want context.Canceled", err)
	}
}

func TestTheHashIsStable(t *testing.T) {
	t.Parallel()
	first, err := migrations.Hash()
	if err != nil {
		t.Fatal(err)
	}
	second, err := migrations.Hash()
	if err != nil || second != first || len(first) != 12 {
		t.Errorf("Hash = %q and then %q, %v, want 12 characters twice", first, second, err)
	}
}
