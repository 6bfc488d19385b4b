package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
)

// Load is what callers ask for. All fields are required but Rate.
type Load struct {
	URL      string // of the API
	Token    string
	Kind     string // KindSend or KindHear
	Messages int
	First    int // number of the first message
	Chats    int
	Callers  int // at a time, each waiting for its answer (closed loop)
	Rate     int // messages a second, whoever still waits (open loop); 0: closed loop
}

// What a Load asks for.
const (
	KindSend = "send" // POST /v1/messages
	KindHear = "hear" // POST /webhooks/evolution/bench
)

// Answered is how a Load was answered. Times are in nanoseconds.
type Answered struct {
	Began    int64   `json:"began"` // Unix nanoseconds
	Took     int64   `json:"took"`
	Messages int     `json:"messages"` // an open loop ends by the clock, and may ask for a few less
	P50      int64   `json:"p50"`
	P99      int64   `json:"p99"`
	Max      int64   `json:"max"`
	Failures int     `json:"failures"`
	Failure  string  `json:"failure,omitempty"` // one of them
	Asked    []int64 `json:"asked,omitempty"`   // Unix nanoseconds by number, of an open loop
}

const instance = "bench"

// greeting makes texts as long as people write them.
const greeting = " Hola, su pedido va en camino y llega entre las 10 y las 12. Si no está en casa, responda a este mensaje. Gracias."

func (l Load) path() string {
	if l.Kind == KindHear {
		return l.URL + "/webhooks/evolution/" + instance
	}
	return l.URL + "/v1/messages"
}

// body is the n-th request. Its text begins with the number, by which the gateway
// knows it.
func (l Load) body(n int) []byte {
	chat := fmt.Sprintf("52155%08d", n%l.Chats)
	if l.Kind == KindHear {
		return fmt.Appendf(nil, `{"event":"messages.upsert","instance":%q,"data":{"key":{"remoteJid":"%s@s.whatsapp.net","fromMe":false,"id":"HEARD%d"},`+
			`"pushName":"Ana","message":{"conversation":"%d%s"},"messageType":"conversation","messageTimestamp":%d,"source":"android"},"apikey":null}`,
			instance, chat, n, n, greeting, time.Now().Unix())
	}
	return fmt.Appendf(nil, `{"instance":%q,"to":"+%s","text":"%d%s"}`, instance, chat, n, greeting)
}

func (l Load) header() http.Header {
	return http.Header{"Authorization": {"Bearer " + l.Token}, "Content-Type": {"application/json"}}
}

// Run asks for everything and returns how that was answered.
func (l Load) Run(ctx context.Context) (Answered, error) {
	if l.Rate > 0 {
		return l.open()
	}
	return l.closed(ctx)
}

func (l Load) closed(ctx context.Context) (Answered, error) {
	client := http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: l.Callers}}
	var next, failures atomic.Int64
	took := make([]int64, l.Messages)
	began := time.Now()
	var callers sync.WaitGroup
	for range l.Callers {
		callers.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= l.Messages {
					return
				}
				asked := time.Now()
				if err := l.ask(ctx, &client, l.First+i); err != nil {
					failures.Add(1)
				}
				took[i] = time.Since(asked).Nanoseconds()
			}
		})
	}
	callers.Wait()
	a := Answered{Began: began.UnixNano(), Took: time.Since(began).Nanoseconds(), Messages: l.Messages, Failures: int(failures.Load())}
	slices.Sort(took)
	a.P50, a.P99, a.Max = took[len(took)/2], took[len(took)*99/100], took[len(took)-1]
	return a, nil
}

var errRefused = errors.New("refused")

func (l Load) ask(ctx context.Context, client *http.Client, n int) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, l.path(), bytes.NewReader(l.body(n)))
	if err != nil {
		return err
	}
	req.Header = l.header()
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	if err == nil && resp.StatusCode/100 != 2 {
		return errRefused
	}
	return err
}

// open sends at an even rate, however slow the answers are, and measures each
// from when it was due.
func (l Load) open() (Answered, error) {
	var next atomic.Int64
	asked := make([]int64, l.Messages)
	target := func(t *vegeta.Target) error {
		i := int(next.Add(1)) - 1
		if i >= l.Messages {
			return vegeta.ErrNoTargets
		}
		asked[i] = time.Now().UnixNano()
		t.Method, t.URL, t.Body, t.Header = http.MethodPost, l.path(), l.body(l.First+i), l.header()
		return nil
	}
	attacker := vegeta.NewAttacker(vegeta.Timeout(30*time.Second), vegeta.KeepAlive(true), vegeta.MaxWorkers(2048), vegeta.Connections(2048))
	span := time.Duration(l.Messages) * time.Second / time.Duration(l.Rate)
	var m vegeta.Metrics
	a := Answered{Began: time.Now().UnixNano(), Asked: asked}
	for r := range attacker.Attack(target, vegeta.Rate{Freq: l.Rate, Per: time.Second}, span, strconv.Itoa(l.Rate)) {
		if r.Error == vegeta.ErrNoTargets.Error() { // one too many
			continue
		}
		m.Add(r)
		if r.Code/100 != 2 {
			a.Failures++
			a.Failure = fmt.Sprintf("%d %s", r.Code, r.Error)
		}
	}
	m.Close()
	a.Messages = min(int(next.Load()), l.Messages)
	a.Took = time.Since(time.Unix(0, a.Began)).Nanoseconds()
	a.P50, a.P99, a.Max = m.Latencies.P50.Nanoseconds(), m.Latencies.P99.Nanoseconds(), m.Latencies.Max.Nanoseconds()
	return a, nil
}
