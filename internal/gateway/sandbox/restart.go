package sandbox

import (
	"container/heap"
	"net/http"
	"time"
)

// Restart forgets the webhooks that wait to be tried, or tried again, as
// Evolution does when it stops: they are in no store, although their messages
// are. What is still to happen, such as that somebody reads a message, happens
// all the same. Then every instance announces that its session is open. It
// returns how many webhooks were forgotten.
func (s *Server) Restart() int {
	forgotten := s.queue.forget(time.Now())
	for _, ev := range forgotten {
		if ev.tries == 0 && !ev.again {
			ev.record()
		}
		ev.finishFirstTry()
	}
	s.counts.forgotten.Add(int64(len(forgotten)))
	for _, in := range s.instances.all() {
		s.push(&event{kind: eventConnection, instance: in, status: "open"})
	}
	return len(forgotten)
}

// forget takes out the events of Evolution's that are due, or wait to be tried
// again. The Cloud API's stay: Meta does not restart.
func (q *queue) forget(now time.Time) (forgotten []*event) {
	q.mu.Lock()
	defer q.mu.Unlock()
	var kept eventHeap
	for _, ev := range q.waiting {
		if ev.post == nil && (ev.tries > 0 || !ev.at.After(now)) {
			forgotten = append(forgotten, ev)
		} else {
			kept = append(kept, ev)
		}
	}
	heap.Init(&kept)
	q.waiting = kept
	q.pending -= len(forgotten)
	return forgotten
}

func (s *Server) restart(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]int{"forgotten": s.Restart()})
}
