package config

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// The errors of this file quote no values; see LoadFor.

// parseWeights reads queue=weight,queue=weight. A nil known allows any name.
func parseWeights(s string, known map[string]int) (map[string]int, error) {
	weights := map[string]int{}
	for pair := range strings.SplitSeq(s, ",") {
		queue, text, _ := strings.Cut(pair, "=")
		queue = strings.TrimSpace(queue)
		if _, ok := known[queue]; !ok && known != nil {
			return nil, errors.New("names a queue that does not exist")
		}
		if _, again := weights[queue]; again {
			return nil, errors.New("names a queue twice")
		}
		weight, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil || weight < 1 || weight > 100 {
			return nil, errors.New("must give each queue a weight from 1 to 100")
		}
		weights[queue] = weight
	}
	return weights, nil
}

// parseDays reads kind=days,kind=days into what usual says. A nil usual allows
// any kind.
func parseDays(s string, usual map[string]time.Duration) (map[string]time.Duration, error) {
	const most = 36_500
	keep, said := maps.Clone(usual), map[string]bool{}
	if keep == nil {
		keep = map[string]time.Duration{}
	}
	for pair := range strings.SplitSeq(s, ",") {
		kind, text, _ := strings.Cut(pair, "=")
		kind = strings.TrimSpace(kind)
		if _, ok := usual[kind]; !ok && usual != nil {
			return nil, errors.New("names a kind of data that does not exist")
		}
		if said[kind] {
			return nil, errors.New("names a kind of data twice")
		}
		days, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil || days < 0 || days > most {
			return nil, fmt.Errorf("must give each kind of data a number of days from 0 (for ever) to %d", most)
		}
		keep[kind], said[kind] = time.Duration(days)*24*time.Hour, true
	}
	return keep, nil
}

// parseListenAddr checks host:port. The host may be empty, the port 0.
func parseListenAddr(s string) (string, error) {
	host, port, err := net.SplitHostPort(s)
	if err != nil || (host != "" && !validHost(host)) || !validPort(port, 0) {
		return "", errors.New("must be host:port with a port from 0 to 65535")
	}
	return s, nil
}

// parseServerAddr checks host[:port] and returns it with a port.
func parseServerAddr(s, defaultPort string) (string, error) {
	if !strings.Contains(s, ":") || strings.HasSuffix(s, "]") {
		s += ":" + defaultPort
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil || !validHost(host) || !validPort(port, 1) {
		return "", errors.New("must name servers as host:port")
	}
	return s, nil
}

// loopback reports whether only this machine can reach a listen address.
func loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || (err == nil && ip.IsLoopback())
}

// validHost accepts IP addresses and what may be a host name, here or in a
// container network.
func validHost(s string) bool {
	if _, err := netip.ParseAddr(s); err == nil {
		return true
	}
	const allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_"
	return s != "" && strings.TrimLeft(s, allowed) == ""
}

func validPort(s string, least uint64) bool {
	port, err := strconv.ParseUint(s, 10, 16)
	return err == nil && port >= least
}

// parseURL is url.Parse for URLs with a host part. Its error hides url.Parse's,
// which quotes the password.
func parseURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || u.Opaque != "" || u.Fragment != "" || !strings.HasPrefix(s, u.Scheme+"://") {
		return nil, errors.New("is not a valid URL (write special characters in a password as %XX)")
	}
	return u, nil
}

// parseBaseURL checks the URL of an HTTP server and drops trailing slashes.
func parseBaseURL(s string) (string, error) {
	u, err := parseURL(s)
	if err != nil {
		return "", err
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return "", errors.New("must begin with http:// or https://")
	case u.Hostname() == "":
		return "", errors.New("must name a host")
	case u.User != nil:
		return "", errors.New("must not contain a user or password")
	case u.RawQuery != "" || u.ForceQuery:
		return "", errors.New("must not contain a query")
	}
	return strings.TrimRight(s, "/"), nil
}

// parseDatabaseURL checks only what every PostgreSQL URL has: several hosts, or
// none and a socket in the query, are pgx's business.
func parseDatabaseURL(s string) (string, error) {
	u, err := parseURL(s)
	if err != nil {
		return "", err
	}
	if u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return "", errors.New("must begin with postgres:// or postgresql://")
	}
	return s, nil
}
