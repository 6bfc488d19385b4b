package outbound_test

import (
	"fmt"
	"strconv"
	"sync"
	"testing"

	"github.com/msgorch/msgorch/internal/testenv"
	"github.com/msgorch/msgorch/outbox"
	"github.com/msgorch/msgorch/tasks"
)

// Nobody else is told of those behind the first, and no relay looks for them.
func TestALaneGoesOnWithWhatFollows(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	store := outbox.New(r.pool, testenv.Client(t, testenv.Redis(t)))
	var first tasks.SendMessages
	const chats, each = 3, 4
	for n := range each {
		for chat := range chats {
			m := tasks.SendMessage{Instance: "sales", To: fmt.Sprintf("+5215550%06d", chat), Text: strconv.Itoa(n)}
			receipt, err := store.Store(t.Context(), m)
			if err != nil {
				t.Fatal(err)
			}
			if m.ID = receipt.ID.String(); n == 0 {
				first.Messages = append(first.Messages, m)
			}
		}
	}
	if err := r.SendAll(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return r.sent(t) == chats*each })
	var late int
	if err := r.pool.QueryRow(t.Context(), `SELECT count(*) FROM messages m JOIN messages b ON b.chat_id = m.chat_id AND b.seq < m.seq
		WHERE m.accepted_at < b.accepted_at`).Scan(&late); err != nil || late != 0 {
		t.Errorf("%d pairs out of order, %v", late, err)
	}
}

// While a message is on its way another comes, or its chat becomes part of another.
// Nothing but the lane knows of the second message.
func TestALaneGoesOnWithWhatChangedMeanwhile(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		what string
		both bool // the second is there before
		then func(t *testing.T, r *room, store func(text string))
	}{
		{"a message came", false, func(_ *testing.T, _ *room, store func(string)) { store("2") }},
		{"the chat was merged", true, func(t *testing.T, r *room, _ func(string)) {
			t.Helper()
			r.exec(t, "INSERT INTO chats (instance_id, jid) SELECT id, '10001@lid' FROM instances WHERE name = 'sales'")
			r.exec(t, "UPDATE messages SET chat_id = (SELECT id FROM chats WHERE jid = '10001@lid')")
		}},
	} {
		t.Run(tt.what, func(t *testing.T) {
			t.Parallel()
			r := newRoom(t)
			box := outbox.New(r.pool, testenv.Client(t, testenv.Redis(t)))
			store := func(text string) {
				if _, err := box.Store(t.Context(), tasks.SendMessage{Instance: "sales", To: person, Text: text}); err != nil {
					t.Error(err)
				}
			}
			m := tasks.SendMessage{Instance: "sales", To: person, Text: "1"}
			receipt, err := box.Store(t.Context(), m)
			if err != nil {
				t.Fatal(err)
			}
			m.ID = receipt.ID.String()
			if tt.both {
				store("2")
			}
			r.calling = sync.OnceFunc(func() { tt.then(t, r, store) })
			if err := r.SendAll(t.Context(), tasks.SendMessages{Messages: []tasks.SendMessage{m}}); err != nil {
				t.Fatal(err)
			}
			eventually(t, func() bool { return r.sent(t) == 2 })
		})
	}
}
