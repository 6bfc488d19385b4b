package attachment_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/goleak"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/internal/attachment"
	"github.com/msgorch/msgorch/internal/fault"
	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/media"
	"github.com/msgorch/msgorch/internal/testenv"
	"github.com/msgorch/msgorch/tasks"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// opener is a gateway that gives whatever a test wants.
type opener func(context.Context) (io.ReadCloser, error)

func (o opener) OpenMedia(ctx context.Context, _ gateway.Account, _ string) (io.ReadCloser, string, int64, error) {
	file, err := o(ctx)
	return file, "application/x-lies", 1, err
}

func gives(content string) opener {
	return func(context.Context) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader([]byte(content))), nil
	}
}

func fails(f *fault.Error) opener {
	return func(context.Context) (io.ReadCloser, error) { return nil, f }
}

// desk is a service on a database and a store of its own.
type desk struct {
	pool  *pgxpool.Pool
	store *media.Store
}

func newDesk(t *testing.T) desk {
	t.Helper()
	store, err := media.Open(t.TempDir(), media.Credentials{})
	if err != nil {
		t.Fatal(err)
	}
	d := desk{pool: testenv.Pool(t), store: store}
	d.exec(t, `INSERT INTO instances (name, gateway) VALUES ('sales', 'sandbox');
		INSERT INTO chats (instance_id, jid) VALUES (1, '5215550000001@s.whatsapp.net')`)
	return d
}

func (d desk) exec(t *testing.T, sql string, args ...any) {
	t.Helper()
	if _, err := d.pool.Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

// file stores a message whose file is due, after so many attempts.
func (d desk) file(t *testing.T, attempts int) uuid.UUID {
	t.Helper()
	id := uuid.Must(uuid.NewV7())
	d.exec(t, `INSERT INTO messages (id, instance_id, chat_id, direction, status, type, created_at, settled_at)
		VALUES ($1, 1, 1, 'inbound', 'received', 'image', now(), now())`, id)
	d.exec(t, "INSERT INTO media (id, message_id, gateway_id, storage_key, attempts) VALUES ($1, $1, 'X', $2, $3)", id, key(id), attempts)
	return id
}

func key(id uuid.UUID) string { return "ab/" + id.String() }

func (d desk) due(t *testing.T, id uuid.UUID) {
	t.Helper()
	d.exec(t, "UPDATE media SET next_attempt_at = now() WHERE id = $1", id)
}

func (d desk) row(t *testing.T, id uuid.UUID) db.Media {
	t.Helper()
	rows, err := db.New(d.pool).MediaOf(t.Context(), []uuid.UUID{id})
	if err != nil || len(rows) != 1 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	return rows[0]
}

func (d desk) content(t *testing.T, id uuid.UUID) string {
	t.Helper()
	file, err := d.store.Open(t.Context(), key(id))
	if errors.Is(err, media.ErrNotFound) {
		return "nothing"
	}
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	got, err := io.ReadAll(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(got)
}

func (d desk) service(o opener) *attachment.Service {
	return attachment.New(attachment.Config{
		Pool: d.pool, Store: d.store, MaxBytes: 1000, AtOnce: 1, Log: slog.New(slog.DiscardHandler),
		Openers: map[string]attachment.Opener{"sandbox": o},
		Account: func(db.Instance) (gateway.Account, error) { return gateway.Account{}, nil },
	})
}

func (d desk) fetch(t *testing.T, id uuid.UUID, o opener) *fault.Error {
	t.Helper()
	return fault.Of(d.service(o).Fetch(t.Context(), tasks.FetchMedia{ID: id.String()}))
}

func TestAGatewayThatIsAwayIsAskedForDays(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	away := fails(fault.New(fault.Unavailable, "connect_failed", "It cannot be reached."))
	tests := []struct {
		before int
		state  string
		least  time.Duration // before the next attempt
	}{
		{0, "pending", 10 * time.Millisecond},
		{8, "pending", 5 * time.Second},
		{9, "pending", 40 * time.Minute},
		{78, "pending", 40 * time.Minute},
		{79, "failed", 0},
	}
	for _, tt := range tests {
		id := d.file(t, tt.before)
		f := d.fetch(t, id, away)
		r := d.row(t, id)
		if r.State != tt.state || r.Attempts != int32(tt.before+1) || r.ErrorCode == nil || *r.ErrorCode != "connect_failed" || r.AttemptedAt == nil || r.DurationMs == nil {
			t.Errorf("attempt %d left %+v, want %s with its reason", tt.before+1, r, tt.state)
		}
		if f == nil || f.Kind.Final() != (tt.state == "failed") || f.After < tt.least {
			t.Errorf("attempt %d: %v, again after %s, want at least %s", tt.before+1, f, f.After, tt.least)
		}
	}
}

func TestThatThereIsNoFileIsBelievedTheThirdTime(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	id := d.file(t, 0)
	for _, want := range []string{"pending", "pending", "failed"} {
		d.due(t, id)
		f := d.fetch(t, id, fails(fault.New(fault.NotFound, "media_gone", "It is gone.")))
		if r := d.row(t, id); r.State != want || f.Kind.Final() != (want == "failed") {
			t.Errorf("after %d attempts it is %s, %v, want %s", r.Attempts, r.State, f, want)
		}
	}
}

func TestAFileIsFetchedOnce(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	id := d.file(t, 0)
	if f := d.fetch(t, id, gives("the file")); f != nil {
		t.Fatal(f)
	}
	never := opener(func(context.Context) (io.ReadCloser, error) { t.Error("it was fetched again"); return nil, io.EOF })
	if f := d.fetch(t, id, never); f != nil {
		t.Error(f)
	}
	r := d.row(t, id)
	if r.State != "kept" || r.Attempts != 1 || *r.Size != 8 || *r.MimeType != "text/plain; charset=utf-8" || d.content(t, id) != "the file" {
		t.Errorf("it is %+v with %q", r, d.content(t, id))
	}
}

func TestAnAttemptOfALostWorkerIsMadeAgain(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	id := d.file(t, 0)
	slow := func(context.Context) (io.ReadCloser, error) { // while it reads, it is taken for lost
		d.due(t, id)
		if f := d.fetch(t, id, gives("the file")); f != nil {
			t.Error(f)
		}
		return io.NopCloser(bytes.NewReader([]byte("the file"))), nil
	}
	if f := d.fetch(t, id, slow); f != nil {
		t.Error(f)
	}
	if r := d.row(t, id); r.State != "kept" || r.Attempts != 2 || d.content(t, id) != "the file" {
		t.Errorf("it is %+v with %q", r, d.content(t, id))
	}
}

func TestOneThatLosesEveryWorkerIsGivenUp(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	id := d.file(t, 80)
	f := d.fetch(t, id, gives("the file"))
	if r := d.row(t, id); r.State != "failed" || *r.ErrorCode != "media_worker_lost" || f == nil || !f.Kind.Final() {
		t.Errorf("it is %+v, %v", r, f)
	}
}

func TestAMessageDeletedMeanwhileLeavesNoFile(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	id := d.file(t, 0)
	deleting := func(context.Context) (io.ReadCloser, error) {
		d.exec(t, "DELETE FROM messages WHERE id = $1", id)
		return io.NopCloser(bytes.NewReader([]byte("the file"))), nil
	}
	if f := d.fetch(t, id, deleting); f != nil {
		t.Error(f)
	}
	if got := d.content(t, id); got != "nothing" {
		t.Errorf("the store has %q", got)
	}
}

func TestOneTooManyComesBackWithoutUsingUpATry(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	first, second := d.file(t, 0), d.file(t, 0)
	var s *attachment.Service
	s = d.service(func(ctx context.Context) (io.ReadCloser, error) {
		f := fault.Of(s.Fetch(ctx, tasks.FetchMedia{ID: second.String()}))
		if f == nil || f.Kind != fault.Throttled || f.After == 0 {
			t.Errorf("the second: %v, want it throttled", f)
		}
		return io.NopCloser(bytes.NewReader([]byte("the file"))), nil
	})
	if err := s.Fetch(t.Context(), tasks.FetchMedia{ID: first.String()}); err != nil {
		t.Error(err)
	}
	if r := d.row(t, second); r.Attempts != 0 || r.State != "pending" {
		t.Errorf("the second is %+v", r)
	}
}
