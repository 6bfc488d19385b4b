package outbound_test

import (
	"fmt"
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
			m := tasks.SendMessage{Instance: "sales", To: fmt.Sprintf("+5215550%06d", chat), Text: fmt.Sprintf("%d", n)}
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
