package sandbox

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"
)

// maxBatchWait is the longest that a report waits for another one to share its
// webhook with.
const maxBatchWait = 200 * time.Millisecond

// post is a webhook of the Cloud API on its way. Its body is made when it is
// first tried, and the same ever after.
type post struct {
	number  *cloudNumber // whose callback it goes to
	report  *report      // nil for one that only takes along what waits
	reports int          // in the body
	body    []byte
}

// batch keeps reports that wait for a webhook to take them along, by where they
// go. The zero value is empty.
type batch struct {
	mu      sync.Mutex
	waiting map[destination][]*report
}

// destination is what reports must agree on to share a webhook.
type destination struct{ address, appSecret string }

func (n *cloudNumber) destination() destination {
	settings := n.settings.Load()
	return destination{settings.webhook(), settings.AppSecret.Reveal()}
}

// park has a report wait and returns whether it is the first to do so.
func (b *batch) park(to destination, r *report) (first bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.waiting == nil {
		b.waiting = map[destination][]*report{}
	}
	b.waiting[to] = append(b.waiting[to], r)
	return len(b.waiting[to]) == 1
}

// take returns what waits, and nothing the next time.
func (b *batch) take(to destination) []*report {
	b.mu.Lock()
	defer b.mu.Unlock()
	reports := b.waiting[to]
	delete(b.waiting, to)
	return reports
}

// announceOnGraph reports that e went out: sent now, and delivered and read when
// its reader's phone says so, which it does not in groups. The channel, if any,
// is closed once the first report was tried.
func (s *Server) announceOnGraph(f *Faults, n *cloudNumber, e *sent, posted chan struct{}) {
	now := time.Now()
	s.tell(statusOf(n, e, cloudStatusSent, now), now, posted)
	if strings.HasSuffix(e.jid, groupServer) {
		return
	}
	delivered, read := now.Add(s.dice.between(f.AckDelayMS)), now.Add(s.dice.between(f.ReadDelayMS))
	s.tell(statusOf(n, e, cloudStatusDelivered, delivered), delivered, nil)
	s.tell(statusOf(n, e, cloudStatusRead, read), read, nil)
}

// tell queues a report for a time, if anybody listens.
func (s *Server) tell(r *report, at time.Time, posted chan struct{}) {
	f := s.faults.Load()
	ev := &event{post: &post{number: r.number, report: r}, due: at, posted: posted}
	if r.number.settings.Load().Callback == "" {
		ev.finishFirstTry()
		return
	}
	if s.dice.hit(f.WebhookReorder) {
		ev.due = ev.due.Add(s.dice.between(f.WebhookReorderMS))
	}
	s.enqueue(ev)
}

// deliverPost tries a webhook once, and again later if that may help.
func (s *Server) deliverPost(ctx context.Context, ev *event) {
	f, p := s.faults.Load(), ev.post
	defer ev.finishFirstTry()
	if p.number.settings.Load().Callback == "" { // it was taken away meanwhile
		return
	}
	if p.body == nil && !s.fill(ctx, f, p) {
		return
	}
	ev.tries++
	s.counts.attempts.Add(1)
	status := s.postCloud(ctx, p)
	switch {
	case status == http.StatusOK:
		s.tookPost(f, ev)
	case ev.tries >= s.opts.WebhookAttempts:
		s.counts.exhausted.Add(int64(p.reports))
		s.giveUpPost(ctx, ev, status)
	default: // Meta tries again whatever the answer was
		s.enqueue(&event{post: p, tries: ev.tries, again: ev.again, due: time.Now().Add(backoff(s.opts.WebhookBackoff, ev.tries))})
	}
}

// fill makes the body, of the post's own report and of those that wait. It
// returns false when there is nothing to post now.
func (s *Server) fill(ctx context.Context, f *Faults, p *post) bool {
	to := p.number.destination()
	if p.report != nil {
		if s.dice.hit(f.WebhookDrop) {
			s.counts.dropped.Add(1)
			return false
		}
		if s.dice.hit(f.WebhookBatch) {
			if s.cloud.batch.park(to, p.report) {
				s.enqueue(&event{post: &post{number: p.number}, due: time.Now().Add(maxBatchWait)})
			}
			return false
		}
	}
	reports := s.cloud.batch.take(to)
	if p.report != nil {
		reports = append(reports, p.report)
	}
	if len(reports) == 0 {
		return false
	}
	body, err := s.compose(reports)
	if err != nil { // only our own types, and JSON that was checked, come here
		s.opts.Log.LogAttrs(ctx, slog.LevelError, "webhook.unwritable", slog.Any("error", err))
		return false
	}
	p.body, p.reports = body, len(reports)
	return true
}

func (s *Server) tookPost(f *Faults, ev *event) {
	if ev.again {
		s.counts.duplicated.Add(int64(ev.post.reports))
		return
	}
	s.counts.delivered.Add(int64(ev.post.reports))
	if s.dice.hit(f.WebhookDuplicate) {
		s.enqueue(&event{post: ev.post, due: time.Now(), again: true})
	}
}

func (s *Server) giveUpPost(ctx context.Context, ev *event, status int) {
	if ctx.Err() != nil {
		return
	}
	s.opts.Log.LogAttrs(ctx, slog.LevelWarn, "webhook.given_up",
		slog.String("instance", ev.post.number.settings.Load().Instance),
		slog.Int("attempt", ev.tries),
		slog.Int("status", status),
	)
}

// postCloud returns the receiver's status, or 0 if there was no answer.
func (s *Server) postCloud(ctx context.Context, p *post) int {
	settings := p.number.settings.Load()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, settings.webhook(), bytes.NewReader(p.body))
	if err != nil {
		s.opts.Log.LogAttrs(ctx, slog.LevelError, "webhook.unusable", slog.Any("error", err))
		return 0
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "facebookexternalua")
	if key := settings.AppSecret.Reveal(); key != "" {
		req.Header.Set("X-Hub-Signature-256", "sha256="+signature(key, p.body))
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10) // so that the connection can be used again
	return resp.StatusCode
}

// signature returns a body's HMAC-SHA256 in hexadecimal.
func signature(key string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}
