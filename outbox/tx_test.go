package outbox_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/msgorch/msgorch/outbox"
	"github.com/msgorch/msgorch/tasks"
)

func (b box) begin(t *testing.T) pgx.Tx {
	t.Helper()
	tx, err := b.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) })
	return tx
}

func TestSendTxTakesEffectWhenItsTransactionCommits(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	listener, err := b.pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Release()
	if _, err := listener.Exec(t.Context(), "LISTEN msgorch_relay"); err != nil {
		t.Fatal(err)
	}
	tx := b.begin(t)

	r, err := b.SendTx(t.Context(), tx, hello("a"))
	if err != nil {
		t.Fatal(err)
	}
	if n := b.count(t, "SELECT count(*) FROM messages"); n != 0 {
		t.Errorf("%d rows are visible before the commit, want 0", n)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := b.count(t, "SELECT count(*) FROM messages WHERE id = $1 AND status = 'queued'", r.ID); n != 1 {
		t.Error("the message is not there after the commit")
	}
	soon, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if n, err := listener.Conn().WaitForNotification(soon); err != nil || n.Channel != "msgorch_relay" {
		t.Errorf("notification = %v, %v, want one for the relay", n, err)
	}
	if got := b.queued(t); len(got) != 0 { // it would have been queued before the commit
		t.Errorf("queued = %v, want nothing: that is the relay's", got)
	}
}

func TestSendTxIsGoneWithItsTransaction(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	tx := b.begin(t)
	if _, err := b.SendTx(t.Context(), tx, hello("a")); err != nil {
		t.Fatal(err)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := b.count(t, "SELECT (SELECT count(*) FROM messages) + (SELECT count(*) FROM chats)"); n != 0 {
		t.Errorf("%d rows, want 0", n)
	}
	if r := b.send(t, hello("a")); r.Replayed {
		t.Error("the key of a message that was rolled back is taken")
	}
}

func TestATransactionIsUsableAfterSendTxRefuses(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	b.send(t, hello("taken"))
	tx := b.begin(t)
	nobody, invalid, reused := hello("a"), hello("b"), hello("taken")
	nobody.Instance = "nobody"
	invalid.To = "mother"
	reused.Text = "Adiós"
	for _, tt := range []struct {
		give tasks.SendMessage
		want error
	}{{nobody, outbox.ErrUnknownInstance}, {invalid, tasks.ErrInvalid}, {reused, outbox.ErrKeyReused}} {
		if _, err := b.SendTx(t.Context(), tx, tt.give); !errors.Is(err, tt.want) {
			t.Errorf("error = %v, want %v", err, tt.want)
		}
	}
	r, err := b.SendTx(t.Context(), tx, hello("good"))
	if err != nil {
		t.Fatal(err)
	}
	again, err := b.SendTx(t.Context(), tx, hello("good"))
	if err != nil || again.ID != r.ID || !again.Replayed {
		t.Errorf("again in the same transaction: %+v, %v, want a replay of %v", again, err, r.ID)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := b.count(t, "SELECT count(*) FROM messages"); n != 2 {
		t.Errorf("%d rows, want 2", n)
	}
}

// The second of two transactions with one key waits for the first, and hears
// what became of it.
func TestTwoTransactionsWithOneKeySendOneMessage(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	first := b.begin(t)
	r, err := b.SendTx(t.Context(), first, hello("a"))
	if err != nil {
		t.Fatal(err)
	}
	type answer struct {
		outbox.Receipt
		error
	}
	second := make(chan answer, 1)
	go func() {
		r, err := b.Send(t.Context(), hello("a"))
		second <- answer{r, err}
	}()
	if err := first.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := <-second; got.error != nil || got.ID != r.ID || !got.Replayed {
		t.Errorf("the second: %+v, want a replay of %v", got, r.ID)
	}
}

// Whoever keeps a transaction open holds up nobody but himself.
func TestAnOpenTransactionHoldsUpNobody(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	b.send(t, hello("first")) // the chat exists
	if _, err := b.SendTx(t.Context(), b.begin(t), hello("in the transaction")); err != nil {
		t.Fatal(err)
	}
	// Whoever waits for a lock is refused after a while.
	if _, err := b.Send(t.Context(), hello("to the same chat")); err != nil {
		t.Errorf("a message to the chat that the transaction writes to: %v", err)
	}
	if _, err := b.pool.Exec(t.Context(), "UPDATE chats SET unread = unread + 1"); err != nil {
		t.Errorf("a message that somebody sends us in that chat: %v", err)
	}
}
