package httpapi

import (
	"context"
	"net/http"
	"time"
)

// pingTimeout bounds each part's answer; an operator's probe waits for it.
const pingTimeout = 2 * time.Second

type healthOutput struct {
	Status int
	Body   struct {
		Status string            `json:"status" enum:"ok,unavailable"`
		Parts  map[string]string `json:"parts,omitempty" doc:"Each part: ok or down; api: stopping, when it was told to stop"`
	}
}

func (s *server) livez(context.Context, *struct{}) (*healthOutput, error) {
	out := &healthOutput{Status: http.StatusOK}
	out.Body.Status = "ok"
	return out, nil
}

// readyz is about accepting: that needs PostgreSQL. Without Redis, what is
// accepted waits.
func (s *server) readyz(ctx context.Context, _ *struct{}) (*healthOutput, error) {
	out := &healthOutput{Status: http.StatusOK}
	out.Body.Status = "ok"
	out.Body.Parts = map[string]string{
		"postgres": part(ctx, s.Pool.Ping),
		"redis":    part(ctx, s.RedisPing),
	}
	select {
	case <-s.Stopping: // it still serves, but should not be sent more
		out.Body.Parts["api"] = "stopping"
	default:
	}
	if out.Body.Parts["postgres"] != "ok" || out.Body.Parts["api"] != "" {
		out.Status, out.Body.Status = http.StatusServiceUnavailable, "unavailable"
	}
	return out, nil
}

func part(ctx context.Context, ping func(context.Context) error) string {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	if ping(ctx) != nil {
		return "down"
	}
	return "ok"
}
