// Command msgorch is the operator's hand: it starts everything in one terminal,
// migrates, makes keys, keeps instances, sends, looks at messages and finds out
// what is wrong. It works on PostgreSQL and Redis directly, with the
// environment of the servers, so it also helps when they do not run.
package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/redis/go-redis/v9"

	"github.com/msgorch/msgorch/internal/logging"
)

// version is set by the linker.
var version = "unknown"

// Exit statuses.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	redis.SetLogger(logging.Redis(slog.New(slog.DiscardHandler))) // we say ourselves what does not work
	status := run(ctx, os.Args, os.Getenv, os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// run does what args say, args[0] being the program's name, and returns the
// exit status.
func run(ctx context.Context, args []string, getenv func(string) string, stdin io.Reader, stdout, stderr io.Writer) int {
	a := &app{getenv: getenv, stdin: stdin, stdout: stdout, stderr: stderr}
	return a.complain(a.root().Run(ctx, args))
}
