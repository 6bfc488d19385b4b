package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
)

// port is an address that is ours to listen on.
type port struct {
	net.Listener
	host string // as the variable has it
}

// reserve listens on the address that a variable holds. Port 0 becomes a free
// one.
func reserve(ctx context.Context, variable, addr string) (*port, error) {
	var listen net.ListenConfig
	ln, err := listen.Listen(ctx, "tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%s is taken by another program: set %s to another port, or to port 0 for any free one", addr, variable)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w; change %s", addr, err, variable)
	}
	host, _, err := net.SplitHostPort(addr)
	return &port{ln, host}, err
}

// number is the port's number.
func (p *port) number() string {
	_, n, _ := net.SplitHostPort(p.Addr().String()) // it comes from the kernel
	return n
}

// address is what to give to a program that is to listen here.
func (p *port) address() string { return net.JoinHostPort(p.host, p.number()) }

// reachable turns an address to listen on into one to connect to: every
// interface becomes this machine.
func reachable(addr string) string {
	host, n, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	ip, err := netip.ParseAddr(host)
	if host == "" || err == nil && ip.IsUnspecified() {
		host = "127.0.0.1"
		if ip.Is6() && !ip.Is4In6() {
			host = "::1"
		}
	}
	return net.JoinHostPort(host, n)
}
