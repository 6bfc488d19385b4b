package wire

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/secret"
)

// maxAnswerBytes bounds how much of an answer is read. A real one has two or
// three kilobytes.
const maxAnswerBytes = 1 << 20

// ErrBadURL means that an account's address is not one of HTTP.
var ErrBadURL = errors.New("the base URL is not an http or https URL")

// WithoutRedirects returns a copy of client that follows no redirects: one of
// them would send a message to an address nobody configured, or turn it into a
// GET. Nil means the defaults of net/http.
func WithoutRedirects(client *http.Client) *http.Client {
	var c http.Client
	if client != nil {
		c = *client
	}
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &c
}

// NewRequest builds a request for a gateway. It fails with ErrBadURL, whose
// text does not repeat the URL, and ignores why.
func NewRequest(ctx context.Context, method, address string, body io.Reader) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil || request.URL.Host == "" || request.URL.Scheme != "http" && request.URL.Scheme != "https" {
		return nil, ErrBadURL
	}
	return request, nil
}

// IsHeaderSafe reports whether a credential can be sent in a header. A control
// character would make net/http refuse it on every attempt, as if the gateway
// could not be reached.
func IsHeaderSafe(credential secret.Text) bool {
	return !strings.ContainsFunc(credential.Reveal(), unicode.IsControl)
}

// Reply is a gateway's answer as it came.
type Reply struct {
	Status int
	Header http.Header
	Body   []byte // its first megabyte
}

// Lost says why a request got no answer, or only a part of one.
type Lost struct {
	Outcome gateway.Outcome // Retry if nothing of it can have left, else InDoubt
	Code    string          // connect_failed, timeout or connection_lost
	Status  int             // 0 if not even that came
	Cause   string          // in words, without the URL; may be long
}

// Exchange sends a request and reads the answer. Exactly one of the results is
// set.
func Exchange(client *http.Client, request *http.Request) (*Reply, *Lost) {
	var wrote atomic.Bool // whether a byte of the request may have left; the transport sets it
	ctx := httptrace.WithClientTrace(request.Context(), &httptrace.ClientTrace{
		WroteHeaders: func() { wrote.Store(true) },
	})
	response, err := client.Do(request.WithContext(ctx)) //nolint:gosec // the operator chooses the address, and the client where it may lead
	if err != nil {
		return nil, lost(err, wrote.Load(), 0)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswerBytes))
	if err != nil {
		return nil, lost(err, true, response.StatusCode)
	}
	return &Reply{Status: response.StatusCode, Header: response.Header, Body: body}, nil
}

// lost classifies a request that got no answer. Once the headers have been
// written nobody can tell what the gateway did with it.
func lost(err error, wrote bool, status int) *Lost {
	l := Lost{Outcome: gateway.InDoubt, Code: "connection_lost", Status: status, Cause: Cause(err)}
	timeout, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](err)
	switch {
	case !wrote:
		l.Outcome, l.Code = gateway.Retry, "connect_failed"
	case ok && timeout.Timeout():
		l.Code = "timeout"
	}
	return &l
}

// Cause says what a request failed of, without the URL that net/http puts into
// its errors.
func Cause(err error) string {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		return wrapped.Err.Error()
	}
	return err.Error()
}

// RetryAfter returns the wait that the header of a 429 or 503 asks for, at most
// an hour, or 0.
func RetryAfter(status int, header http.Header) time.Duration {
	const longest = time.Hour
	if status != http.StatusTooManyRequests && status != http.StatusServiceUnavailable {
		return 0
	}
	value := strings.TrimSpace(header.Get("Retry-After"))
	if seconds, err := strconv.ParseUint(value, 10, 64); err == nil {
		return time.Duration(min(seconds, uint64(longest/time.Second))) * time.Second
	}
	if date, err := http.ParseTime(value); err == nil {
		return min(max(time.Until(date), 0), longest)
	}
	return 0
}
