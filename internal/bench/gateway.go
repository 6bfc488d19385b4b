package bench

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"
)

// Gateway is the least that can be a gateway: it takes every message at once and
// remembers when each came. A message is known by the number that its text begins
// with. It is safe for concurrent use.
type Gateway struct {
	first []atomic.Int64 // Unix nanoseconds by number; 0: not yet
	count atomic.Int64   // distinct ones
	twice atomic.Int64   // more often than once
	name  []byte         // what its ids begin with: two gateways give no two messages one
}

// Arrivals is what a Gateway has seen.
type Arrivals struct {
	Count int64   `json:"count"`
	Twice int64   `json:"twice"`
	At    []int64 `json:"at,omitempty"` // Unix nanoseconds by number
}

// NewGateway returns a Gateway for messages numbered from 0 to n-1.
func NewGateway(n int) *Gateway {
	return &Gateway{first: make([]atomic.Int64, n), name: strconv.AppendInt(nil, time.Now().UnixNano(), 36)}
}

// ServeHTTP takes a message, or answers what it has seen (GET /arrivals, with
// every time when asked ?all=1).
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if r.Method == http.MethodGet {
		_ = json.NewEncoder(w).Encode(g.arrivals(r.FormValue("all") != ""))
		return
	}
	now := time.Now().UnixNano()
	body, err := io.ReadAll(r.Body)
	n, ok := numberOf(body)
	if err != nil || !ok || n >= len(g.first) {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if g.first[n].CompareAndSwap(0, now) {
		g.count.Add(1)
	} else {
		g.twice.Add(1)
	}
	w.WriteHeader(http.StatusCreated)
	answer := append([]byte(`{"key":{"id":"BENCH`), g.name...)
	answer = strconv.AppendInt(append(answer, '-'), int64(n), 10)
	_, _ = w.Write(append(answer, `"},"status":"PENDING"}`...)) // the caller may be gone
}

func (g *Gateway) arrivals(all bool) Arrivals {
	a := Arrivals{Count: g.count.Load(), Twice: g.twice.Load()}
	for i := range g.first {
		if all {
			a.At = append(a.At, g.first[i].Load())
		}
	}
	return a
}

// numberOf finds the number that the text of a message begins with.
func numberOf(body []byte) (int, bool) {
	_, text, found := bytes.Cut(body, []byte(`"text":"`))
	digits := bytes.IndexFunc(text, func(r rune) bool { return r < '0' || r > '9' })
	if !found || digits <= 0 {
		return 0, false
	}
	n, err := strconv.Atoi(string(text[:digits]))
	return n, err == nil
}
