// Package egress makes the HTTP client with which gateways are called.
package egress

import (
	"net"
	"net/http"
	"net/netip"
	"time"

	"code.dny.dev/ssrf"
)

const (
	dialTimeout = 5 * time.Second
	// Node.js, which Evolution API runs on, closes idle connections after 5 s.
	// A request on a connection that is just being closed is in doubt, so ours
	// are closed before.
	idleTimeout = 4 * time.Second
	idlePerHost = 256
)

// NewClient returns a client that connects to public addresses only, unless
// allowPrivate. Names are judged by what they resolve to, at the moment of the
// connect. It uses no proxy and follows no redirect, which could lead around
// that. Timeouts are the caller's context's.
func NewClient(allowPrivate bool) *http.Client {
	dialer := &net.Dialer{Timeout: dialTimeout}
	if !allowPrivate {
		dialer.Control = ssrf.New(
			ssrf.WithAnyPort(),
			ssrf.WithDeniedV4Prefixes(netip.MustParsePrefix("168.63.129.16/32")), // Azure's wire server
		).Safe
	}
	return &http.Client{
		Transport: &http.Transport{
			DialContext:           dialer.DialContext,
			ForceAttemptHTTP2:     true,
			MaxIdleConnsPerHost:   idlePerHost,
			IdleConnTimeout:       idleTimeout,
			TLSHandshakeTimeout:   dialTimeout,
			ExpectContinueTimeout: time.Second,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
