package outbound

import (
	"context"
	"sync"
	"time"

	"github.com/msgorch/msgorch/db"
)

// handsPerPlace is how many messages of an instance a process may have in hand
// for each one that may be on its way to the gateway. Those beyond wait in
// PostgreSQL, where a crash leaves no doubt about them.
const handsPerPlace = 4

// line is what this process does for one instance.
type line struct {
	instance string
	places   chan struct{} // messages on their way to the gateway
	most     int           // in hand

	mu      sync.Mutex
	inHand  int           // claimed here, or about to be
	freed   chan struct{} // holds a token when one left since the puller looked
	paced   bool          // slots are handed out one by one
	pulling bool
	came    chan struct{} // holds a token when something came since the puller looked
	opened  chan struct{} // holds a token when what held everything up is over
	asked   time.Time     // when the other workers were last asked to pull
}

func (s *Service) line(instance string) *line {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lines[instance]
	if l == nil {
		l = &line{
			instance: instance, places: make(chan struct{}, s.c.PerInstance), most: handsPerPlace * s.c.PerInstance,
			freed: make(chan struct{}, 1), came: make(chan struct{}, 1), opened: make(chan struct{}, 1),
		}
		s.lines[instance] = l
	}
	return l
}

// admit takes up to n messages in hand and returns how many.
func (l *line) admit(n int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n = max(0, min(n, l.most-l.inHand))
	l.inHand += n
	return n
}

// leave gives up n messages in hand.
func (l *line) leave(n int) {
	if n == 0 {
		return
	}
	l.mu.Lock()
	l.inHand -= n
	l.mu.Unlock()
	offer(l.freed)
}

// room waits until at least half of what may be in hand is free, and admits up
// to n. It returns 0 when the service stops.
func (l *line) room(n int, stopping <-chan struct{}) int {
	for {
		l.mu.Lock()
		if free := l.most - l.inHand; free*2 >= l.most {
			n = min(n, free)
			l.inHand += n
			l.mu.Unlock()
			return n
		}
		l.mu.Unlock()
		select {
		case <-l.freed:
		case <-stopping:
			return 0
		}
	}
}

func (l *line) isPaced() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.paced
}

func (l *line) setPaced(paced bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.paced = paced
}

// acquire takes one of the places on the way to the gateway.
func (l *line) acquire(stopping <-chan struct{}) (release func(), ok bool) {
	select {
	case l.places <- struct{}{}:
		return func() { <-l.places }, true
	default:
	}
	select {
	case l.places <- struct{}{}:
		return func() { <-l.places }, true
	case <-stopping:
		return nil, false
	}
}

// take takes the token, if there is one.
func take(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// offer leaves a token, unless one is there.
func offer(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// learnEvery bounds how often a process asks which instances are paced.
const learnEvery = 200 * time.Millisecond

// learnPaced finds out which instances are paced, when a claim that found
// nothing suggests that one may be. Errors are left to the relay, which brings
// the message back.
func (s *Service) learnPaced(ctx context.Context) {
	s.mu.Lock()
	fresh := time.Since(s.learned) < learnEvery
	if !fresh {
		s.learned = time.Now()
	}
	s.mu.Unlock()
	if fresh {
		return
	}
	names, err := db.New(s.c.Pool).PacedInstances(ctx)
	if err != nil {
		return
	}
	for _, name := range names {
		s.line(name).setPaced(true)
	}
}
