package sandbox

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// event is one webhook to post, perhaps more than once. Its body is made anew
// for each try, so what waits stays small.
type event struct {
	kind     string
	instance *instance
	message  *message // nil for what is not about one that was sent or received
	data     any      // of messages.edited and messages.delete
	status   string   // of the message or of the connection
	at       time.Time
	due      time.Time
	order    int64
	tries    int
	again    bool          // a deliberate duplicate
	posted   chan struct{} // closed after the first try; nil if nobody waits
	post     *post         // of the Cloud API, which needs nothing of the above but the times; nil for Evolution's
}

// webhookCounts count events, except for attempts.
type webhookCounts struct {
	attempts, delivered, duplicated, dropped, refused, exhausted, overflowed, forgotten atomic.Int64
}

// announce reports that e went out: send.message now, and how far it has come
// when its reader's phone says so, which it does not in groups. The channel, if
// any, is closed once send.message was tried.
func (s *Server) announce(f *Faults, e *sent, posted chan struct{}) {
	s.push(&event{kind: eventSend, instance: e.instance, message: &e.message, posted: posted})
	if strings.HasSuffix(e.jid, groupServer) {
		return
	}
	now, delays := time.Now(), [][]int{f.AckDelayMS, f.ReadDelayMS}
	for i, status := range progressNames() {
		s.push(&event{
			kind: eventUpdate, instance: e.instance, message: &e.message,
			status: status, at: now.Add(s.dice.between(delays[i])),
		})
	}
}

// push queues ev for ev.at, or for now, if anybody listens.
func (s *Server) push(ev *event) {
	f := s.faults.Load()
	if s.hook(ev.instance, ev.kind) == nil {
		ev.finishFirstTry()
		return
	}
	if ev.at.IsZero() {
		ev.at = time.Now()
	}
	ev.due = ev.at
	if s.dice.hit(f.WebhookReorder) {
		ev.due = ev.due.Add(s.dice.between(f.WebhookReorderMS))
	}
	s.enqueue(ev)
}

func (s *Server) enqueue(ev *event) {
	if !s.queue.push(ev) {
		s.counts.overflowed.Add(1)
		ev.finishFirstTry()
	}
}

func (ev *event) finishFirstTry() {
	if ev.posted != nil {
		close(ev.posted)
		ev.posted = nil
	}
}

// deliver tries ev once, and again later if that may help.
func (s *Server) deliver(ctx context.Context, ev *event) {
	if ev.post != nil {
		s.deliverPost(ctx, ev)
		return
	}
	f := s.faults.Load()
	tryLater, news := false, ev.tries == 0 && !ev.again
	if news {
		ev.record()
	}
	if news && s.dice.hit(f.WebhookDrop) {
		s.counts.dropped.Add(1)
	} else if h := s.hook(ev.instance, ev.kind); h != nil { // else it was taken away meanwhile
		tryLater = s.try(ctx, f, h, ev)
	}
	ev.finishFirstTry()
	if tryLater {
		ev.due = time.Now().Add(backoff(s.opts.WebhookBackoff, ev.tries))
		s.enqueue(ev) // from here on another goroutine may have it
	}
}

// record notes in the history how far ev's message has come, whether or not
// anybody gets to hear of it.
func (ev *event) record() {
	if ev.kind != eventUpdate {
		return
	}
	step, progress := int64(slices.Index(progressNames(), ev.status)+1), &ev.message.progress
	for {
		reached := progress.Load()
		if step <= reached || progress.CompareAndSwap(reached, step) {
			return
		}
	}
}

// try posts ev and reports whether that should be done again.
func (s *Server) try(ctx context.Context, f *Faults, h *hook, ev *event) (tryLater bool) {
	ev.tries++
	s.counts.attempts.Add(1)
	status := s.post(ctx, h, ev)
	switch {
	case status >= 200 && status < 300:
		s.delivered(f, ev)
	case !retryable(status):
		s.counts.refused.Add(1)
		s.giveUp(ctx, ev, status)
	case ev.tries >= s.opts.WebhookAttempts:
		s.counts.exhausted.Add(1)
		s.giveUp(ctx, ev, status)
	default:
		return true
	}
	return false
}

func (s *Server) delivered(f *Faults, ev *event) {
	if ev.again {
		s.counts.duplicated.Add(1)
		return
	}
	s.counts.delivered.Add(1)
	if !s.dice.hit(f.WebhookDuplicate) {
		return
	}
	s.enqueue(&event{
		kind: ev.kind, instance: ev.instance, message: ev.message, data: ev.data, status: ev.status,
		at: ev.at, due: time.Now(), again: true,
	})
}

func (s *Server) giveUp(ctx context.Context, ev *event, status int) {
	if ctx.Err() != nil {
		return
	}
	s.opts.Log.LogAttrs(ctx, slog.LevelWarn, "webhook.given_up",
		slog.String("instance", ev.instance.name),
		slog.String("event", ev.kind),
		slog.Int("attempt", ev.tries),
		slog.Int("status", status),
	)
}

// post returns the receiver's status, or 0 if there was no answer.
func (s *Server) post(ctx context.Context, h *hook, ev *event) int {
	body, err := s.body(ev, h.destination(ev.instance))
	if err != nil { // only our own types come here
		s.opts.Log.LogAttrs(ctx, slog.LevelError, "webhook.unwritable", slog.Any("error", err))
		return http.StatusBadRequest
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.target(ev.instance, ev.kind), bytes.NewReader(body))
	if err != nil {
		s.opts.Log.LogAttrs(ctx, slog.LevelError, "webhook.unusable", slog.Any("error", err))
		return http.StatusBadRequest
	}
	req.Header = h.header.Clone()
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "axios/1.12.2")
	resp, err := s.client.Do(req)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10) // so that the connection can be used again
	return resp.StatusCode
}

// retryable says what Evolution tries again: everything but what says that the
// request itself is wrong.
func retryable(status int) bool {
	switch status {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden,
		http.StatusNotFound, http.StatusUnprocessableEntity:
		return false
	}
	return true
}

// maxBackoff is Evolution's longest wait between two tries.
const maxBackoff = 5 * time.Minute

// backoff is the wait after a number of failed tries: doubling, give or take a
// fifth.
func backoff(first time.Duration, tries int) time.Duration {
	wait := min(first<<min(tries-1, 20), maxBackoff)
	return time.Duration(float64(wait) * (0.8 + 0.4*rand.Float64()))
}

// newClient is for webhooks: it waits as long as Evolution, takes no detours
// through proxies or redirects, and keeps a connection for each worker.
func newClient(workers int) *http.Client {
	return &http.Client{
		Timeout:       30 * time.Second,
		Transport:     &http.Transport{MaxIdleConnsPerHost: workers, IdleConnTimeout: time.Minute},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// showWebhooks tells what became of the webhooks; when none is unfinished, all
// has been said.
func (s *Server) showWebhooks(w http.ResponseWriter, _ *http.Request) {
	c := &s.counts
	writeJSON(w, http.StatusOK, struct {
		Unfinished int   `json:"unfinished"`
		Attempts   int64 `json:"attempts"`
		Delivered  int64 `json:"delivered"`
		Duplicated int64 `json:"duplicated"` // delivered once more by webhook_duplicate
		Dropped    int64 `json:"dropped"`    // never tried, by webhook_drop
		Refused    int64 `json:"refused"`    // given up: 400, 401, 403, 404 or 422
		Exhausted  int64 `json:"exhausted"`  // given up: too many tries
		Overflowed int64 `json:"overflowed"` // lost: too many waited
		Forgotten  int64 `json:"forgotten"`  // lost in a restart
	}{
		s.queue.unfinished(), c.attempts.Load(), c.delivered.Load(), c.duplicated.Load(),
		c.dropped.Load(), c.refused.Load(), c.exhausted.Load(), c.overflowed.Load(), c.forgotten.Load(),
	})
}

// Unfinished returns how many webhooks wait or are being posted; when there are
// none, all has been said.
func (s *Server) Unfinished() int { return s.queue.unfinished() }
