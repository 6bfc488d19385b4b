package sandbox_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/msgorch/msgorch/internal/gateway/sandbox"
)

// These tests run on a clock that stands still while anything is left to do.
// It cannot see sockets, so requests and webhooks are handed over directly.

// recorder receives webhooks and answers with the statuses it is given, the
// last of them for ever.
type recorder struct {
	mu       sync.Mutex
	statuses []int
	start    time.Time
	bodies   [][]byte
	after    []time.Duration
}

func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	body, _ := io.ReadAll(req.Body)
	r.mu.Lock()
	defer r.mu.Unlock()
	status := r.statuses[0]
	if len(r.statuses) > 1 {
		r.statuses = r.statuses[1:]
	}
	r.bodies = append(r.bodies, body)
	r.after = append(r.after, time.Since(r.start))
	return &http.Response{StatusCode: status, Body: http.NoBody, Request: req}, nil
}

func newTimed(t *testing.T, faults sandbox.Faults, statuses ...int) (*sandbox.Server, *recorder) {
	t.Helper()
	r := &recorder{statuses: statuses, start: time.Now()}
	s := sandbox.New(sandbox.Options{WebhookURL: "http://receiver", Client: &http.Client{Transport: r}, WebhookAttempts: 4})
	t.Cleanup(s.Close)
	if err := s.SetFaults(faults); err != nil {
		t.Fatal(err)
	}
	return s, r
}

// pass lets time pass, and what is due then happen.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// ask hands s a request without a network in between.
func ask(t *testing.T, s *sandbox.Server, method, path, body string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body)))
	return w
}

func send(t *testing.T, s *sandbox.Server) {
	t.Helper()
	ask(t, s, http.MethodPost, "/message/sendText/sales", sendBody("5215550001001", "hola"))
}

func write(t *testing.T, s *sandbox.Server, text string) {
	t.Helper()
	if _, err := s.Receive(sandbox.Inbound{Instance: "sales", From: "5215550001001", Text: text}); err != nil {
		t.Fatal(err)
	}
}

func TestAWebhookIsTriedAgainAfterAnOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, r := newTimed(t, sandbox.DefaultFaults(), 503, 429, 302, 200)
		write(t, s, "hola")
		pass(time.Minute)

		if len(r.bodies) != 4 {
			t.Fatalf("%d tries, want 4", len(r.bodies))
		}
		for i, want := range []time.Duration{500 * time.Millisecond, time.Second, 2 * time.Second} {
			wait := r.after[i+1] - r.after[i]
			if wait < want*8/10 || wait > want*12/10 {
				t.Errorf("wait %d is %v, want %v give or take a fifth", i+1, wait, want)
			}
			if !bytes.Equal(r.bodies[0], r.bodies[i+1]) {
				t.Errorf("try %d differs:\n%s\n%s", i+2, r.bodies[0], r.bodies[i+1])
			}
		}
	})
}

func TestAWebhookThatIsRefusedIsNotTriedAgain(t *testing.T) {
	t.Parallel()
	for _, status := range []int{400, 401, 403, 404, 422} {
		synctest.Test(t, func(t *testing.T) {
			s, r := newTimed(t, sandbox.DefaultFaults(), status)
			write(t, s, "hola")
			pass(time.Hour)
			if len(r.bodies) != 1 {
				t.Errorf("%d: %d tries, want 1", status, len(r.bodies))
			}
		})
	}
}

func TestAWebhookIsGivenUpAfterItsLastTry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, r := newTimed(t, sandbox.DefaultFaults(), 500)
		write(t, s, "hola")
		pass(time.Hour)
		if len(r.bodies) != 4 {
			t.Errorf("%d tries, want 4", len(r.bodies))
		}
		want := `{"unfinished":0,"attempts":4,"delivered":0,"duplicated":0,"dropped":0,"refused":0,"exhausted":1,"overflowed":0,"forgotten":0}`
		if got := ask(t, s, http.MethodGet, "/sandbox/webhooks", "").Body.String(); got != want {
			t.Errorf("counts\n got %s\nwant %s", got, want)
		}
	})
}

func TestAWebhookThatIsHeldBackIsOvertaken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := sandbox.DefaultFaults()
		f.WebhookReorder = 1
		s, r := newTimed(t, f, 200)
		write(t, s, "first")
		if err := s.SetFaults(sandbox.DefaultFaults()); err != nil {
			t.Fatal(err)
		}
		write(t, s, "second")
		pass(time.Second)
		if len(r.bodies) != 2 || !strings.Contains(string(r.bodies[0]), "second") {
			t.Errorf("got %q, want the second first", r.bodies)
		}
	})
}

func TestADroppedWebhookNeverComesButTheHistoryKnows(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := sandbox.DefaultFaults()
		f.WebhookDrop = 1
		s, r := newTimed(t, f, 200)
		send(t, s)
		pass(time.Hour)
		if len(r.bodies) != 0 {
			t.Errorf("%d webhooks, want none", len(r.bodies))
		}
		w := ask(t, s, http.MethodPost, "/chat/findMessages/sales", "{}")
		if want := `"MessageUpdate":[{"status":"DELIVERY_ACK"},{"status":"READ"}]`; !strings.Contains(w.Body.String(), want) {
			t.Errorf("history is %s, want %s in it", w.Body, want)
		}
	})
}

func TestReportsFollowASendAtTheirTimes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, r := newTimed(t, sandbox.DefaultFaults(), 200)
		send(t, s)
		pass(time.Second)
		between := func(d time.Duration, low, high int64) bool {
			return d.Milliseconds() >= low && d.Milliseconds() <= high
		}
		if len(r.after) != 3 || r.after[0] != 0 || !between(r.after[1], 40, 60) || !between(r.after[2], 130, 170) {
			t.Errorf("after %v, want 0, about 50 and about 150 ms", r.after)
		}
	})
}

// The bubble does not end before every goroutine in it has.
func TestCloseLeavesNothingRunning(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := sandbox.DefaultFaults()
		f.Hang = 1
		s, _ := newTimed(t, f, 503)
		write(t, s, "hola") // will be tried again and again
		hung := make(chan any, 1)
		go func() {
			defer func() { hung <- recover() }()
			send(t, s)
		}()
		synctest.Wait()

		s.Close()
		s.Close() // twice is harmless

		if got, _ := (<-hung).(error); !errors.Is(got, http.ErrAbortHandler) {
			t.Errorf("the hanging answer ended with %v, want an aborted connection", got)
		}
		write(t, s, "after the end")
		if n := len(s.Received()); n != 2 {
			t.Errorf("%d received, want 2", n)
		}
	})
}

func TestTheSameSeedRollsTheSameDice(t *testing.T) {
	t.Parallel()
	roll := func() (outcomes []sandbox.Outcome) {
		s := sandbox.New(sandbox.Options{Seed: 7})
		defer s.Close()
		f := sandbox.DefaultFaults()
		f.Error500, f.TooMany, f.NoKeyID = 0.3, 0.3, 0.2
		if err := s.SetFaults(f); err != nil {
			t.Fatal(err)
		}
		for range 50 {
			send(t, s)
		}
		for _, e := range s.Sent() {
			outcomes = append(outcomes, e.Outcome)
		}
		return outcomes
	}
	if first, second := roll(), roll(); !slices.Equal(first, second) {
		t.Errorf("two runs differ:\n%v\n%v", first, second)
	}
}

func TestARestartForgetsWhatWaitsToBeTriedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, r := newTimed(t, sandbox.DefaultFaults(), 500, 500, 200)
		write(t, s, "hola")
		pass(100 * time.Millisecond) // tried once
		if n := s.Restart(); n != 1 {
			t.Errorf("%d were forgotten, want 1", n)
		}
		pass(time.Hour)
		if len(r.bodies) != 3 || !bytes.Contains(r.bodies[2], []byte(`"state":"open"`)) {
			t.Errorf("%d tries, want one of the message and two of the open session", len(r.bodies))
		}
		if found := ask(t, s, http.MethodPost, "/chat/findMessages/sales", "{}").Body.String(); !strings.Contains(found, "hola") {
			t.Errorf("the records are %s, want the message", found)
		}
	})
}
