package db_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/internal/address"
	"github.com/msgorch/msgorch/internal/testenv"
)

// BenchmarkLife takes messages through the statements of their lives, 32 together,
// as a busy system does; next is the look at what follows them in their chats.
func BenchmarkLife(b *testing.B) {
	const batch = 32
	pool := testenv.Pool(b)
	ctx := b.Context()
	q := db.New(pool)
	var instance int64
	if err := pool.QueryRow(ctx, "INSERT INTO instances (name, gateway) VALUES ('sales', 'sandbox') RETURNING id").Scan(&instance); err != nil {
		b.Fatal(err)
	}
	jid := func(n int) string { return fmt.Sprintf("5215550%06d@s.whatsapp.net", n) }
	chats := db.EnsureChatsParams{Moves: true}
	for n := range 1000 {
		chats.InstanceIds, chats.Jids, chats.Addresses = append(chats.InstanceIds, instance), append(chats.Jids, jid(n)), append(chats.Addresses, address.Of(jid(n)))
	}
	if err := q.EnsureChats(ctx, chats); err != nil {
		b.Fatal(err)
	}
	var spent [4]time.Duration
	n := 0
	for b.Loop() {
		var accept db.AcceptMessagesParams
		accept.TaskBatch = uuid.Must(uuid.NewV7())
		accept.Bump = true
		for range batch {
			n++
			accept.Ids = append(accept.Ids, uuid.Must(uuid.NewV7()))
			accept.Instances = append(accept.Instances, "sales")
			chat := jid(n * 7919 % 1000)
			accept.Chats = append(accept.Chats, chat)
			accept.Addresses = append(accept.Addresses, address.Of(chat))
			accept.Types = append(accept.Types, "text")
			accept.Texts = append(accept.Texts, fmt.Sprintf("Hola, su pedido %d está listo", n))
			accept.Contents = append(accept.Contents, "")
			accept.ReplyTos = append(accept.ReplyTos, uuid.Nil)
			accept.Priorities = append(accept.Priorities, "default")
			accept.SendAts = append(accept.SendAts, time.Time{})
			accept.ExpiresAts = append(accept.ExpiresAts, time.Time{})
			accept.Metadatas = append(accept.Metadatas, "{}")
			accept.IdempotencyKeys = append(accept.IdempotencyKeys, fmt.Sprint("key-", n))
			accept.RequestHashes = append(accept.RequestHashes, []byte("01234567890123456789012345678901"))
		}
		t0 := time.Now()
		if _, err := q.AcceptMessages(ctx, accept); err != nil {
			b.Fatal(err)
		}
		t1 := time.Now()
		claimed, err := q.ClaimHeads(ctx, db.ClaimHeadsParams{Ids: accept.Ids, Lease: time.Minute})
		if err != nil {
			b.Fatal(err)
		}
		t2 := time.Now()
		if len(claimed) != batch {
			b.Fatalf("claimed %d of %d", len(claimed), batch)
		}
		var settle db.SettleAttemptsParams
		for _, m := range claimed {
			settle.Ids = append(settle.Ids, m.ID)
			settle.Attempts = append(settle.Attempts, m.Attempt)
			settle.Statuses = append(settle.Statuses, "accepted")
			settle.GatewayMessageIds = append(settle.GatewayMessageIds, "3EB0"+m.ID.String())
			settle.Refunds = append(settle.Refunds, 0)
			settle.Waits = append(settle.Waits, 0)
			settle.Outcomes = append(settle.Outcomes, "accepted")
			settle.Codes = append(settle.Codes, "")
			settle.Reasons = append(settle.Reasons, "")
			settle.HttpStatuses = append(settle.HttpStatuses, 201)
			settle.StartedAts = append(settle.StartedAts, t1)
			settle.Durations = append(settle.Durations, 3)
		}
		t3 := time.Now()
		if _, err := q.SettleAttempts(ctx, settle); err != nil {
			b.Fatal(err)
		}
		spent[0] += t1.Sub(t0)
		spent[1] += t2.Sub(t1)
		t4 := time.Now()
		var lanes []int64
		for _, m := range claimed {
			lanes = append(lanes, m.ChatID)
		}
		if _, err := q.OpenLanes(ctx, lanes); err != nil {
			b.Fatal(err)
		}
		spent[2] += t4.Sub(t3)
		spent[3] += time.Since(t4)
	}
	for i, name := range []string{"accept", "claim", "settle", "next"} {
		b.ReportMetric(float64(spent[i].Microseconds())/float64(n), name+"-µs/message")
	}
}
