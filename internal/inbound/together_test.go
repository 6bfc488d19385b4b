package inbound_test

import (
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/tasks"
)

// Tasks that come together share a transaction. The first one is held up, so that
// the others wait and go together.
func TestABadEventLeavesThoseOfOtherTasksAlone(t *testing.T) {
	t.Parallel()
	o := newOffice(t, &archive{page: 1})
	for _, sql := range []string{
		`CREATE FUNCTION judge() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			IF NEW.text = 'first' THEN PERFORM pg_advisory_xact_lock(1); END IF;
			IF NEW.text = 'bad' THEN RAISE EXCEPTION 'no'; END IF;
			RETURN NEW;
		END $$`,
		"CREATE TRIGGER judge BEFORE INSERT ON messages FOR EACH ROW EXECUTE FUNCTION judge()",
	} {
		if _, err := o.pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	instances, err := db.New(o.pool).InstancesByName(t.Context(), []string{"sales"})
	if err != nil || len(instances) != 1 {
		t.Fatalf("instances: %v, %v", instances, err)
	}
	chats := 0
	hear := func(text string) tasks.GatewayEvents {
		t.Helper()
		chats++ // in one chat they would wait for each other, to stay in order
		id, chat := uuid.NewString(), fmt.Sprintf("521555%07d@s.whatsapp.net", chats)
		body, err := json.Marshal(gateway.Message{ID: id, Chat: chat, Type: "text", Text: text, At: time.Now()})
		if err != nil {
			t.Fatal(err)
		}
		r, err := o.in.Accept(t.Context(), instances[0], gateway.Envelope{Event: gateway.EventFound, Instance: "sales", Body: body})
		if err != nil {
			t.Fatal(err)
		}
		return tasks.GatewayEvents{Batch: id, Events: []tasks.GatewayEvent{{ID: r.EventID.String()}}}
	}
	work := []tasks.GatewayEvents{hear("first"), hear("bad")}
	const good = 4
	for n := range good {
		work = append(work, hear(fmt.Sprint("good ", n)))
	}
	held, err := o.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := held.Exec(t.Context(), "SELECT pg_advisory_xact_lock(1)"); err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	for _, task := range work {
		running.Go(func() {
			if err := o.in.ApplyAll(t.Context(), task); err != nil {
				t.Errorf("task: %v", err)
			}
		})
	}
	if err := held.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	running.Wait()
	var stored, pending int
	err = o.pool.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM messages WHERE text LIKE 'good%'),
		(SELECT count(*) FROM gateway_events WHERE state = 'pending')`).Scan(&stored, &pending)
	if err != nil || stored != good || pending != 1 {
		t.Errorf("%d messages stored, %d events left, %v; want %d and the bad one", stored, pending, err, good)
	}
}
