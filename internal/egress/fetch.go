package egress

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"code.dny.dev/ssrf"

	"github.com/msgorch/msgorch/internal/fault"
)

const (
	maxRedirects = 3
	fetchPause   = 30 * time.Second // for the answer to begin
)

// Fetcher fetches files from addresses that a caller gave, who must not reach our
// own network with them. Make it with NewFetcher; it may be used concurrently.
type Fetcher struct {
	client *http.Client
}

// NewFetcher returns a Fetcher that connects to public addresses only, unless
// allowPrivate: also after a redirect, of which it follows few.
func NewFetcher(allowPrivate bool) *Fetcher {
	client := NewClient(allowPrivate)
	transport := client.Transport.(*http.Transport) //nolint:forcetypeassert,errcheck // NewClient made it
	transport.ResponseHeaderTimeout = fetchPause
	transport.MaxIdleConnsPerHost = 4
	client.CheckRedirect = func(r *http.Request, via []*http.Request) error {
		if len(via) > maxRedirects {
			return errTooFar
		}
		return checkScheme(r.URL)
	}
	return &Fetcher{client}
}

var (
	errTooFar = errors.New("too many redirects")
	errScheme = errors.New("not an address of HTTP")
)

func checkScheme(u *url.URL) error {
	if u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return errScheme
	}
	return nil
}

// Fetch begins to read a file. The caller closes it, and bounds how much it
// reads. It fails with fault.NotFound or fault.Invalid when that address never
// gives a file, and with fault.Unavailable when trying again may help. No error
// repeats the address, which may hold a secret.
func (f *Fetcher) Fetch(ctx context.Context, address string) (io.ReadCloser, error) {
	u, err := url.Parse(address)
	if err != nil || checkScheme(u) != nil {
		return nil, refused("The file's URL is not one of HTTP.")
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return nil, refused("The file's URL is not one of HTTP.")
	}
	request.Header.Set("User-Agent", "MsgOrch")
	request.Header.Set("Accept-Encoding", "identity")
	response, err := f.client.Do(request)
	if err != nil {
		return nil, unreached(err)
	}
	if response.StatusCode == http.StatusOK {
		return response.Body, nil
	}
	_ = response.Body.Close()
	return nil, declined(response.StatusCode)
}

func refused(detail string) *fault.Error {
	return fault.New(fault.Invalid, "media_url_refused", detail)
}

// unreached says why no answer came.
func unreached(err error) *fault.Error {
	switch {
	case errors.Is(err, ssrf.ErrProhibitedIP), errors.Is(err, ssrf.ErrProhibitedNetwork), errors.Is(err, ssrf.ErrInvalidHostPort):
		return refused("The file's URL leads to a private address (ALLOW_PRIVATE_TARGETS).")
	case errors.Is(err, errTooFar):
		return refused("The file's URL is redirected too often.")
	case errors.Is(err, errScheme):
		return refused("The file's URL is redirected to what is not HTTP.")
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err // without the address
	}
	detail := "The server of the file's URL cannot be reached."
	if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
		detail = "The server of the file's URL does not answer."
	}
	return fault.New(fault.Unavailable, "media_url_unreachable", detail)
}

// declined says what an answer without a file means.
func declined(status int) *fault.Error {
	detail := fmt.Sprintf("The server of the file's URL answered %d.", status)
	switch {
	case status == http.StatusNotFound || status == http.StatusGone:
		return fault.New(fault.NotFound, "media_not_found", detail)
	case status >= http.StatusInternalServerError, status == http.StatusTooManyRequests, status == http.StatusRequestTimeout, status == http.StatusTooEarly:
		return fault.New(fault.Unavailable, "media_url_failed", detail)
	}
	return fault.New(fault.Invalid, "media_url_failed", detail)
}
