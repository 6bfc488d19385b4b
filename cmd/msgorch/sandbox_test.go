package main

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

func TestSandboxRunsUntilItIsStopped(t *testing.T) {
	t.Parallel()
	env := environment{"SANDBOX_ADDR": "127.0.0.1:0", "LOG_LEVEL": "error"}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out, in := io.Pipe()
	ended := make(chan int, 1)
	go func() {
		args := []string{"msgorch", "sandbox", "-o", "json", "--seed", "1"}
		ended <- run(ctx, args, func(n string) string { return env[n] }, strings.NewReader(""), in, io.Discard)
		_ = in.Close()
	}()
	var at struct{ URL string }
	if err := json.NewDecoder(out).Decode(&at); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	if status, err := probe(ctx, at.URL+"/livez"); status != http.StatusOK {
		t.Errorf("livez answers %d, %v", status, err)
	}
	cancel()
	if status := <-ended; status != exitOK {
		t.Errorf("Ctrl-C gives status %d", status)
	}
	if _, err := probe(t.Context(), at.URL+"/livez"); err == nil {
		t.Error("it still answers")
	}
}

func TestTakenPortNamesItsVariable(t *testing.T) {
	t.Parallel()
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	got := environment{"SANDBOX_ADDR": ln.Addr().String()}.run(t, "sandbox").want(t, exitFailed)
	if !strings.Contains(got.stderr, "SANDBOX_ADDR") || strings.Count(got.stderr, "\n") != 1 {
		t.Errorf("stderr: %s", got.stderr)
	}
}
