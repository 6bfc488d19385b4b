package gatewaytest

import (
	"context"
	"time"
)

// Until returns a context whose time is up once over is closed or receives: a
// deadline that does not depend on how fast a machine is.
func Until(ctx context.Context, over <-chan struct{}) context.Context {
	e := &expiring{Context: ctx, expired: make(chan struct{})}
	go func() {
		<-over
		close(e.expired)
	}()
	return e
}

type expiring struct {
	context.Context
	expired chan struct{}
}

// Deadline implements context.Context.
func (e *expiring) Deadline() (time.Time, bool) { return time.Now().Add(time.Hour), true }

// Done implements context.Context.
func (e *expiring) Done() <-chan struct{} { return e.expired }

// Err implements context.Context.
func (e *expiring) Err() error {
	select {
	case <-e.expired:
		return context.DeadlineExceeded
	default:
		return nil
	}
}
