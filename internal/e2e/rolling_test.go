package e2e_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// balancer sends requests to the APIs that say they are ready, as a load
// balancer does, and goes on to the next when one refuses connections. Anything
// else that goes wrong was a request that an API dropped.
type balancer struct {
	client http.Client
	urls   []string
	ready  []atomic.Int64 // when it was last asked and said that it was, in nanoseconds; 0: it said no
	next   atomic.Int64
}

// probe looks at each API every now and then until over.
func (b *balancer) probe(over <-chan struct{}) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		for i, url := range b.urls {
			asked := time.Now().UnixNano()
			resp, err := b.client.Get(url + "/readyz")
			if err == nil {
				_ = resp.Body.Close()
			}
			if err != nil || resp.StatusCode != http.StatusOK {
				asked = 0
			}
			b.ready[i].Store(asked)
		}
		select {
		case <-over:
			return
		case <-tick.C:
		}
	}
}

func (b *balancer) send(body []byte) error {
	for {
		i := int(b.next.Add(1)) % len(b.urls)
		// An API serves for a second after it said no: what it said must not be older
		// than that, however busy the machine is.
		if time.Since(time.Unix(0, b.ready[i].Load())) > 300*time.Millisecond {
			<-time.After(time.Millisecond)
			continue
		}
		req, err := http.NewRequest(http.MethodPost, b.urls[i]+"/v1/messages", bytes.NewReader(body))
		if err != nil {
			return err
		}
		req.Header = http.Header{"Authorization": {"Bearer " + apiToken}, "Content-Type": {"application/json"}}
		resp, err := b.client.Do(req)
		if errors.Is(err, syscall.ECONNREFUSED) {
			continue
		}
		if err != nil {
			return err
		}
		answer, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusAccepted {
			return fmt.Errorf("%d: %s", resp.StatusCode, answer)
		}
		return nil
	}
}

func TestARollingRestartDropsNoRequestAndNoTask(t *testing.T) {
	t.Parallel()
	s := start(t, options{quiet: true, workers: 2})
	s.instance("sales")
	ports := []string{freePort(t), freePort(t)}
	apis := make([]*process, len(ports))
	b := &balancer{client: http.Client{Timeout: patience}, ready: make([]atomic.Int64, len(ports))}
	for i, port := range ports {
		apis[i] = s.startAPI("LISTEN_PORT=" + port)
		b.urls = append(b.urls, "http://127.0.0.1:"+port)
	}
	var callers, prober sync.WaitGroup
	var accepted atomic.Int64
	over, quiet := make(chan struct{}), make(chan struct{})
	prober.Go(func() { b.probe(quiet) })
	for c := range 8 {
		callers.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-over:
					return
				default:
				}
				body, err := json.Marshal(map[string]any{"instance": "sales", "to": fmt.Sprintf("52155500%05d", n%20), "text": fmt.Sprintf("%d-%d", c, n)})
				if err == nil {
					err = b.send(body)
				}
				if err != nil {
					t.Errorf("a request was dropped: %v", err)
					return
				}
				accepted.Add(1)
			}
		})
	}
	for i := range apis {
		eventually(t, "requests are under way", func() bool { return accepted.Load() > int64(100*(i+1)) })
		if code := apis[i].stop(); code != 0 {
			t.Errorf("an API ended with %d", code)
		}
		apis[i] = s.startAPI("LISTEN_PORT=" + ports[i])
		if code := s.workers[i].stop(); code != 0 {
			t.Errorf("a worker ended with %d", code)
		}
		s.startWorker()
	}
	close(over)
	callers.Wait()
	close(quiet) // not sooner: a caller may still wait for an API to be ready
	prober.Wait()
	eventually(t, "everything is sent", func() bool {
		return len(s.list("/v1/messages?status=queued")) == 0 && len(s.list("/v1/messages?status=sending")) == 0
	})
	times := map[string]int{}
	for _, m := range s.gateway.Sent() {
		times[m.Text]++
	}
	if len(times) != int(accepted.Load()) {
		t.Errorf("%d messages were sent of %d that were accepted", len(times), accepted.Load())
	}
	for text, n := range times {
		if n != 1 {
			t.Errorf("%s was sent %d times", text, n)
		}
	}
}
