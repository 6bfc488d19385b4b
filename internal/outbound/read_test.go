package outbound_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/msgorch/msgorch/internal/fault"
	"github.com/msgorch/msgorch/internal/gateway/cloud"
	"github.com/msgorch/msgorch/internal/gateway/evolution"
	"github.com/msgorch/msgorch/internal/gateway/sandbox"
	"github.com/msgorch/msgorch/internal/history"
	"github.com/msgorch/msgorch/internal/outbound"
	"github.com/msgorch/msgorch/internal/secret"
	"github.com/msgorch/msgorch/internal/testenv"
	"github.com/msgorch/msgorch/outbox"
	"github.com/msgorch/msgorch/tasks"
)

const (
	number = "100000000000055"
	token  = "ATTEND-CREDENTIAL-0123456789"
	person = "5215550000001@s.whatsapp.net"
)

// room is a Service with a database of its own, the instances "sales" and "meta"
// behind a sandbox, and a way to have calls fail on the way there.
type room struct {
	*outbound.Service
	*sandbox.Server
	pool    *pgxpool.Pool
	desk    *outbound.Desk
	failing atomic.Int32 // how many calls are yet to fail
	calling func()       // happens before each call is answered; nil: nothing
}

func newRoom(t *testing.T) *room {
	t.Helper()
	r := &room{pool: testenv.Pool(t), Server: sandbox.New(sandbox.Options{APIKey: token})}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if r.failing.Add(-1) >= 0 {
			http.Error(w, `{"response":{"message":"Connection Closed"}}`, http.StatusInternalServerError)
			return
		}
		if r.calling != nil {
			r.calling()
		}
		r.ServeHTTP(w, q)
	}))
	t.Cleanup(func() { r.Close(); web.Close() })
	if err := r.RegisterNumber(t.Context(), sandbox.CloudNumber{PhoneNumberID: number, Token: token}); err != nil {
		t.Fatal(err)
	}
	box, err := secret.NewBox(nil)
	if err != nil {
		t.Fatal(err)
	}
	client, log := testenv.Client(t, testenv.Redis(t)), slog.New(slog.DiscardHandler)
	evo, meta := evolution.NewSender(nil), cloud.NewSender(nil)
	r.desk = outbound.NewDesk(r.pool, client, func(error) {})
	t.Cleanup(func() { _ = r.desk.Close(context.WithoutCancel(t.Context())) })
	r.Service = outbound.New(outbound.Config{
		Pool: r.pool, Client: client, Outbox: outbox.New(r.pool, client), Box: box, Log: log,
		Gateways: map[string]outbound.Gateway{
			"evolution": {Sender: evo, Attendant: evo, BaseURL: web.URL, Credential: token},
			"cloud":     {Sender: meta, Attendant: meta, BaseURL: web.URL + "/graph/v23.0", Credential: token},
		},
		PerInstance: 4, Watched: 4,
	})
	t.Cleanup(func() { r.Wait(context.WithoutCancel(t.Context())) })
	r.exec(t, "INSERT INTO instances (name, gateway) VALUES ('sales', 'evolution')")
	r.exec(t, "INSERT INTO instances (name, gateway, phone_number_id) VALUES ('meta', 'cloud', $1)", number)
	return r
}

func (r *room) exec(t *testing.T, sql string, args ...any) {
	t.Helper()
	if _, err := r.pool.Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

// heard stores a message that somebody wrote to us, unread.
func (r *room) heard(t *testing.T, instance, chat, gatewayID string) uuid.UUID {
	t.Helper()
	id := uuid.Must(uuid.NewV7())
	r.exec(t, `WITH i AS (SELECT id FROM instances WHERE name = $2), known AS (
			UPDATE chats SET unread = 1 FROM i WHERE chats.instance_id = i.id AND jid = $3 RETURNING chats.id
		), made AS (
			INSERT INTO chats (instance_id, jid, unread) SELECT id, $3, 1 FROM i WHERE NOT EXISTS (SELECT FROM known) RETURNING id
		), c AS (
			SELECT id FROM known UNION ALL SELECT id FROM made
		)
		INSERT INTO messages (id, instance_id, chat_id, direction, status, type, text, gateway_message_id, created_at, settled_at)
		SELECT $1, i.id, c.id, 'inbound', 'received', 'text', 'Hola', $4, now(), now() FROM i, c`, id, instance, chat, gatewayID)
	return id
}

// ask asks to read a message, and returns the task that stands for it.
func (r *room) ask(t *testing.T, instance string, id uuid.UUID) tasks.ReadMessage {
	t.Helper()
	if err := r.desk.Read(t.Context(), id, instance); err != nil {
		t.Fatal(err)
	}
	return tasks.ReadMessage{ID: id.String(), Instance: instance}
}

// due lets the time to wait be over.
func (r *room) due(t *testing.T) {
	t.Helper()
	r.exec(t, "UPDATE read_receipts SET next_attempt_at = now() WHERE next_attempt_at IS NOT NULL")
}

func (r *room) detail(t *testing.T, id uuid.UUID) history.Detail {
	t.Helper()
	d, err := history.New(r.pool).Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// unread counts what is unread in all chats.
func (r *room) unread(t *testing.T) (n int) {
	t.Helper()
	if err := r.pool.QueryRow(t.Context(), "SELECT sum(unread) FROM chats").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestWhatWasReadIsToldOnceAndNoted(t *testing.T) {
	t.Parallel()
	for instance, told := range map[string]func(r *room) []string{
		"sales": func(r *room) (ids []string) {
			for _, x := range r.Signs() {
				ids = append(ids, x.Shows+" "+x.MessageID)
			}
			return ids
		},
		"meta": func(r *room) (ids []string) {
			for _, m := range r.CloudMarks() {
				ids = append(ids, "read "+m.MessageID)
			}
			return ids
		},
	} {
		t.Run(instance, func(t *testing.T) {
			t.Parallel()
			r := newRoom(t)
			id := r.heard(t, instance, person, "IN1")
			for range 2 {
				task := r.ask(t, instance, id)
				for range 2 {
					if err := r.Read(t.Context(), task); err != nil {
						t.Error(err)
					}
				}
			}
			if diff := cmp.Diff([]string{"read IN1"}, told(r)); diff != "" {
				t.Errorf("told (-want +got):\n%s", diff)
			}
			d := r.detail(t, id)
			if d.Receipt == nil || d.Receipt.Status != "done" || d.Receipt.DoneAt == nil || d.Receipt.Error != nil || d.ReadAt == nil || r.unread(t) != 0 {
				t.Errorf("receipt = %+v, read at %v, %d unread", d.Receipt, d.ReadAt, r.unread(t))
			}
		})
	}
}

// WhatsApp has the message under the number as it spells it, whatever we call the
// chat.
func TestTheNumberIsTheOneThatWhatsAppHas(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	if err := r.Read(t.Context(), r.ask(t, "sales", r.heard(t, "sales", "525550000001@s.whatsapp.net", "IN1"))); err != nil {
		t.Error(err)
	}
	if err := r.Read(t.Context(), r.ask(t, "sales", r.heard(t, "sales", "120363000000000001@g.us", "IN2"))); err != nil {
		t.Error(err)
	}
	signs := r.Signs()
	if len(signs) != 2 || signs[0].To != person || signs[1].To != "120363000000000001@g.us" {
		t.Errorf("signs = %+v", signs)
	}
}

func TestAReceiptIsTriedAgainUntilItIsTold(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	id := r.heard(t, "sales", person, "IN1")
	task := r.ask(t, "sales", id)
	r.failing.Store(2)
	for n := range 2 {
		f := fault.Of(r.Read(t.Context(), task))
		if f == nil || f.Kind != fault.Unavailable || f.After <= 0 {
			t.Fatalf("attempt %d: %v, want one that is to come back", n+1, f)
		}
		d := r.detail(t, id)
		if d.Receipt.Status != "pending" || d.Receipt.Attempts != n+1 || d.Receipt.Error == nil || d.Receipt.Error.Code != "connection_closed" || d.ReadAt != nil {
			t.Errorf("receipt = %+v %+v", d.Receipt, d.Receipt.Error)
		}
		r.due(t)
	}
	if err := r.Read(t.Context(), task); err != nil {
		t.Error(err)
	}
	if d := r.detail(t, id); d.Receipt.Status != "done" || d.Receipt.Attempts != 3 || d.Receipt.Error != nil || len(r.Signs()) != 1 {
		t.Errorf("receipt = %+v, signs %+v", d.Receipt, r.Signs())
	}
}

func TestAReceiptIsGivenUpAfterTwelveAttemptsAndMayBeAskedForAgain(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	id := r.heard(t, "sales", person, "IN1")
	task := r.ask(t, "sales", id)
	r.failing.Store(12)
	var last error
	for range 12 {
		last = r.Read(t.Context(), task)
		r.due(t)
	}
	if !fault.Of(last).Kind.Final() {
		t.Errorf("the twelfth: %v, want a final one", last)
	}
	if d := r.detail(t, id); d.Receipt.Status != "failed" || d.Receipt.Attempts != 12 || d.Receipt.Error.Code != "connection_closed" || d.Receipt.Error.Message == "" || r.unread(t) != 1 {
		t.Errorf("receipt = %+v", d.Receipt)
	}
	if err := r.Read(t.Context(), task); err != nil || len(r.Signs()) != 0 {
		t.Errorf("what was given up is told: %v", err)
	}
	if err := r.Read(t.Context(), r.ask(t, "sales", id)); err != nil {
		t.Error(err)
	}
	if d := r.detail(t, id); d.Receipt.Status != "done" || d.Receipt.Attempts != 1 {
		t.Errorf("asked again: %+v", d.Receipt)
	}
}

func TestWhatCanNeverBeToldSaysWhy(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	for chat, code := range map[string]string{"905215550000001@lid": "number_unknown", person: "instance_deleted"} {
		id := r.heard(t, "sales", chat, "IN"+code)
		task := r.ask(t, "sales", id)
		if code == "instance_deleted" {
			r.exec(t, "UPDATE instances SET deleted_at = now() WHERE name = 'sales'")
		}
		if f := fault.Of(r.Read(t.Context(), task)); f == nil || !f.Kind.Final() || strings.Contains(f.Error(), "5215550000001") {
			t.Errorf("%s: %v", chat, f)
		}
		if d := r.detail(t, id); d.Receipt.Status != "failed" || d.Receipt.Error.Code != code {
			t.Errorf("%s: %+v %+v", chat, d.Receipt, d.Receipt.Error)
		}
		r.exec(t, "UPDATE instances SET deleted_at = NULL")
	}
}

func TestAPausedInstanceTellsNothing(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	id := r.heard(t, "sales", person, "IN1")
	task := r.ask(t, "sales", id)
	r.exec(t, "UPDATE instances SET paused_at = now()")
	if err := r.Read(t.Context(), task); err != nil {
		t.Error(err)
	}
	if err := r.ShowTyping(t.Context(), typing("sales", person, "composing")); err != nil {
		t.Error(err)
	}
	r.Wait(t.Context())
	if d := r.detail(t, id); len(r.Signs()) != 0 || d.Receipt.Status != "pending" || d.Receipt.Attempts != 0 {
		t.Errorf("signs %+v, receipt %+v", r.Signs(), d.Receipt)
	}
	r.exec(t, "UPDATE instances SET paused_at = NULL")
	if err := r.Read(t.Context(), task); err != nil || len(r.Signs()) != 1 {
		t.Errorf("resumed: %v, %+v", err, r.Signs())
	}
}

func TestWhatIsOnItsWayIsNotToldBesides(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	id := r.heard(t, "sales", person, "IN1")
	task := r.ask(t, "sales", id)
	r.exec(t, "UPDATE read_receipts SET next_attempt_at = now() + interval '1 hour', attempt = 1") // as its lease does
	if err := r.Read(t.Context(), task); err != nil || len(r.Signs()) != 0 {
		t.Errorf("told twice: %v", err)
	}
}

func typing(instance, chat, state string) tasks.ShowTyping {
	return tasks.ShowTyping{Instance: instance, Chat: chat, State: state, ForMS: 1, Asked: time.Now().Add(time.Hour)}
}
