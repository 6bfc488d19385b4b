package sandbox

import (
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// limit is how fast an instance may send. Its methods work on nil, which is no
// limit.
type limit struct {
	perMinute  int
	burst      int
	bucket     *rate.Limiter
	taken      atomic.Int64
	violations atomic.Int64
}

// take returns 0 if a message may be sent now, else how long to wait.
func (l *limit) take() time.Duration {
	if l == nil {
		return 0
	}
	if l.bucket.Allow() {
		l.taken.Add(1)
		return 0
	}
	l.violations.Add(1)
	missing := 1 - l.bucket.Tokens()
	return max(time.Millisecond, time.Duration(missing/float64(l.bucket.Limit())*float64(time.Second)))
}

// limitView is a limit as /sandbox/limits shows it.
type limitView struct {
	Instance   string `json:"instance"`
	PerMinute  int    `json:"per_minute"`
	Burst      int    `json:"burst"`
	Taken      int64  `json:"taken"`
	Violations int64  `json:"violations"`
}

// putLimit sets an instance's limit and starts counting anew. per_minute 0
// takes it away.
func (s *Server) putLimit(w http.ResponseWriter, r *http.Request) {
	call := struct {
		Instance  string `json:"instance"`
		PerMinute *int   `json:"per_minute"`
		Burst     int    `json:"burst"`
	}{Burst: 1}
	if err := readStrict(w, r, &call); err != nil {
		writeError(w, err)
		return
	}
	const most = 1_000_000
	switch {
	case call.Instance == "":
		writeError(w, wrong("instance", "is required"))
		return
	case call.PerMinute == nil || *call.PerMinute < 0 || *call.PerMinute > most:
		writeError(w, wrong("per_minute", "must be from 0 to %d", most))
		return
	case call.Burst < 1 || call.Burst > most:
		writeError(w, wrong("burst", "must be from 1 to %d", most))
		return
	}
	s.instances.get(call.Instance).limit.Store(newLimit(*call.PerMinute, call.Burst))
	s.listLimits(w, r)
}

func newLimit(perMinute, burst int) *limit {
	if perMinute == 0 {
		return nil
	}
	return &limit{
		perMinute: perMinute,
		burst:     burst,
		bucket:    rate.NewLimiter(rate.Limit(float64(perMinute)/60), burst),
	}
}

func (s *Server) listLimits(w http.ResponseWriter, _ *http.Request) {
	list := []limitView{}
	for _, in := range s.instances.all() {
		if l := in.limit.Load(); l != nil {
			list = append(list, limitView{in.name, l.perMinute, l.burst, l.taken.Load(), l.violations.Load()})
		}
	}
	writeJSON(w, http.StatusOK, map[string][]limitView{"data": list})
}
