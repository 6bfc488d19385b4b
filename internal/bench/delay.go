package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"time"
)

// far returns a URL that leads to the same server through a proxy which makes its
// round trips as much longer as rtt says. The proxy ends with ctx.
func far(ctx context.Context, address string, rtt time.Duration) (string, error) {
	if rtt == 0 {
		return address, nil
	}
	u, err := url.Parse(address)
	if err != nil || u.Port() == "" {
		return "", errors.New("a delayed server needs a URL with a port")
	}
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("listen: %w", err)
	}
	context.AfterFunc(ctx, func() { _ = ln.Close() })
	server := u.Host
	u.Host = ln.Addr().String()
	go func() {
		for {
			near, err := ln.Accept()
			if err != nil {
				return
			}
			go relay(ctx, near, server, rtt/2)
		}
	}()
	return u.String(), nil
}

// relay connects a client with a server, each hearing the other later by delay.
func relay(ctx context.Context, near net.Conn, server string, delay time.Duration) {
	defer near.Close()
	dialer := net.Dialer{Timeout: 5 * time.Second}
	behind, err := dialer.DialContext(ctx, "tcp", server)
	if err != nil {
		return
	}
	defer behind.Close()
	stop := context.AfterFunc(ctx, func() { _, _ = near.Close(), behind.Close() })
	defer stop()
	done := make(chan struct{}, 2)
	for _, way := range [][2]net.Conn{{near, behind}, {behind, near}} {
		go func() {
			later(way[1], way[0], delay)
			done <- struct{}{}
		}()
	}
	<-done // one side has hung up, or failed
}

// later copies what it reads, when it has waited for delay: as much as is on the
// way at a time, as on a long line.
func later(to io.Writer, from io.Reader, delay time.Duration) {
	type piece struct {
		due  time.Time
		data []byte
	}
	onTheWay := make(chan piece, 1024)
	go func() {
		defer close(onTheWay)
		buf := make([]byte, 64<<10)
		for {
			n, err := from.Read(buf)
			if n > 0 {
				onTheWay <- piece{time.Now().Add(delay), append([]byte(nil), buf[:n]...)}
			}
			if err != nil {
				return
			}
		}
	}()
	for p := range onTheWay {
		<-time.After(time.Until(p.due))
		if _, err := to.Write(p.data); err != nil {
			break
		}
	}
	for range onTheWay { // until its reader has noticed
	}
}
