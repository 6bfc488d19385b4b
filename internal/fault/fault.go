// Package fault is the one vocabulary of failure. An error is classified once,
// where it is detected; rooms pass it on, and only doors translate it: httpapi
// into an HTTP status, worker into retry or give up.
package fault

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// A Kind says who has to act for the next attempt to succeed.
type Kind int

// The zero value is Internal: an error nobody classified is ours.
const (
	Internal    Kind = iota // we have a bug or broke a promise; retry, and alert
	Invalid                 // the caller must change the request; never retry
	Denied                  // the caller needs other credentials; never retry
	Forbidden               // the caller is known but may not do this; never retry
	NotFound                // the thing does not exist; never retry
	Gone                    // the thing existed, and does not come back; never retry
	Conflict                // the request contradicts the present state; never retry
	Throttled               // nobody failed, it is too early; wait, without using up a retry
	Unavailable             // somebody we depend on is down; retry with backoff
)

// Final reports whether no retry of the same request can succeed.
func (k Kind) Final() bool {
	switch k {
	case Invalid, Denied, Forbidden, NotFound, Gone, Conflict:
		return true
	case Internal, Throttled, Unavailable:
		return false
	}
	return false
}

// Error is a classified failure.
type Error struct {
	Kind   Kind
	Code   string        // stable and machine-readable, such as "unknown_instance"
	Detail string        // one sentence for the caller; carries no secrets and no message text
	Field  string        // the part of the request that is wrong, such as "body.to"; empty if none
	After  time.Duration // earliest useful retry; zero means unknown
	Err    error         // the cause, for our logs only; may be nil
}

// New classifies a failure where it is detected.
func New(kind Kind, code, detail string) *Error {
	return &Error{Kind: kind, Code: code, Detail: detail}
}

// At returns a copy of e that names the part of the request that is wrong.
func (e *Error) At(field string) *Error {
	c := *e
	c.Field = field
	return &c
}

// RetryAfter returns a copy of e that says when trying again makes sense.
func (e *Error) RetryAfter(d time.Duration) *Error {
	c := *e
	c.After = d
	return &c
}

// Because returns a copy of e with its cause, which is logged and never sent.
func (e *Error) Because(err error) *Error {
	c := *e
	c.Err = err
	return &c
}

// Error implements error. It is for logs: it includes the cause.
func (e *Error) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("%s: %s: %v", e.Code, e.Detail, e.Err)
	}
	return e.Code + ": " + e.Detail
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Of returns the classification of err. An error that nobody classified is
// Internal. Of(nil) is nil.
func Of(err error) *Error {
	if err == nil {
		return nil
	}
	if f, ok := errors.AsType[*Error](err); ok {
		return f
	}
	return &Error{Kind: Internal, Code: "internal", Detail: "Something went wrong on our side.", Err: err}
}

// Bounds of the wait between two attempts.
const (
	backoffBase = time.Second
	backoffCap  = 5 * time.Minute
)

// Backoff returns how long to wait after failed attempt number n, counted from
// 1: full jitter over a window that starts at one second, doubles, and is
// capped at five minutes. Full jitter spreads many messages that failed
// together; see "Exponential Backoff And Jitter" in the AWS Architecture Blog.
func Backoff(n int) time.Duration {
	window := backoffCap
	if n < 1 {
		n = 1
	}
	if n <= 16 { // 2^16 s is past the cap; a larger shift would overflow one day
		window = min(backoffBase<<(n-1), backoffCap)
	}
	// Never zero: a retry in the same instant only meets the same failure.
	return window/20 + rand.N(window-window/20)
}
