package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"

	"github.com/msgorch/msgorch/internal/config"
)

// checkPrograms asks the API and a worker on this machine how they are.
func (d *doctor) checkPrograms(ctx context.Context, cfg config.Config) {
	if cfg.ListenHost != "" {
		d.checkProgram(ctx, "api", net.JoinHostPort(cfg.ListenHost, strconv.Itoa(cfg.ListenPort)))
	}
	if cfg.WorkerAddr != "" {
		d.checkProgram(ctx, "worker", cfg.WorkerAddr)
	}
}

func (d *doctor) checkProgram(ctx context.Context, name, addr string) {
	if strings.HasSuffix(addr, ":0") {
		d.warn(name, "look into its log", "listens on any free port, which only it knows")
		return
	}
	url := "http://" + reachable(addr) + "/readyz"
	status, err := probe(ctx, url)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		d.warn(name, "start it, unless it runs elsewhere", "does not run at %s", reachable(addr))
	case err != nil:
		d.warn(name, "look into its log", "%v", err)
	case status != http.StatusOK:
		d.fail(name, "curl "+url+" says which part", "is not ready: %s answers %d", url, status)
	default:
		d.ok(name, "ready at %s", reachable(addr))
	}
}
