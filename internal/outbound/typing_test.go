package outbound_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/msgorch/msgorch/tasks"
)

func (r *room) shown() (list []string) {
	for _, x := range r.Signs() {
		list = append(list, x.To+" "+x.Shows)
	}
	return list
}

// eventually waits until ok, looking often.
func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	deadline := time.After(2 * time.Minute)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("it does not happen")
		}
	}
}

func TestASignGoesToWhatTheChatIsCalled(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	r.heard(t, "sales", person, "IN1")
	r.exec(t, "INSERT INTO addresses (address, instance_id, jid, chat_id) SELECT '905215550000001@lid', 1, '905215550000001@lid', id FROM chats")
	for _, chat := range []string{"905215550000001@lid", "5215550000002@s.whatsapp.net"} {
		if err := r.ShowTyping(t.Context(), typing("sales", chat, "recording")); err != nil {
			t.Error(err)
		}
		r.Wait(t.Context())
	}
	if diff := cmp.Diff([]string{person + " recording", "5215550000002@s.whatsapp.net recording"}, r.shown()); diff != "" {
		t.Errorf("shown (-want +got):\n%s", diff)
	}
	if r.unread(t) != 1 {
		t.Error("a sign of Evolution's reads nothing")
	}
}

func TestASignOfTheCloudAPIReadsWhatWasWrittenLast(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	r.heard(t, "meta", person, "wamid.1")
	id := r.heard(t, "meta", person, "wamid.2")
	for _, chat := range []string{person, "5215550000002@s.whatsapp.net"} { // who wrote nothing sees nothing
		if err := r.ShowTyping(t.Context(), typing("meta", chat, "composing")); err != nil {
			t.Error(err)
		}
		r.Wait(t.Context())
	}
	marks := r.CloudMarks()
	if len(marks) != 1 || marks[0].MessageID != "wamid.2" || !marks[0].Typing {
		t.Errorf("marks = %+v", marks)
	}
	if d := r.detail(t, id); d.ReadAt == nil || d.Receipt != nil || r.unread(t) != 0 {
		t.Errorf("read at %v, receipt %+v, %d unread", d.ReadAt, d.Receipt, r.unread(t))
	}
}

// The gateway answers only when the sign is over.
func TestASignThatIsShownIsNotShownAgainUntilAnotherEndsIt(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	show := func(state string) {
		t.Helper()
		long := typing("sales", person, state)
		long.ForMS = time.Hour.Milliseconds() // longer than any machine is slow
		if err := r.ShowTyping(t.Context(), long); err != nil {
			t.Error(err)
		}
	}
	for range 100 {
		show("composing")
	}
	eventually(t, func() bool { return len(r.Signs()) == 1 })
	show("recording")
	eventually(t, func() bool { return len(r.Signs()) == 2 })
	show("composing")
	eventually(t, func() bool { return len(r.Signs()) == 3 })
	show("paused")
	r.Wait(t.Context())
	want := []string{person + " composing", person + " recording", person + " composing", person + " paused"}
	if diff := cmp.Diff(want, r.shown()); diff != "" {
		t.Errorf("shown (-want +got):\n%s", diff)
	}
}

func TestASignThatComesLateIsNotShown(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	late := typing("sales", person, "composing")
	late.ForMS, late.Asked = tasks.MaxTyping.Milliseconds(), time.Now().Add(-time.Minute)
	if err := r.ShowTyping(t.Context(), late); err != nil {
		t.Error(err)
	}
	r.Wait(t.Context())
	if len(r.Signs()) != 0 {
		t.Errorf("shown %v", r.shown())
	}
}

// Best effort: nothing of it is tried again, nor kept as failed.
func TestASignThatFailsIsForgotten(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	r.failing.Store(1)
	if err := r.ShowTyping(t.Context(), typing("sales", person, "composing")); err != nil {
		t.Error(err)
	}
	if err := r.ShowTyping(t.Context(), typing("nobody", person, "composing")); err != nil {
		t.Error(err)
	}
	r.Wait(t.Context())
	if len(r.Signs()) != 0 {
		t.Errorf("shown %v", r.shown())
	}
}
