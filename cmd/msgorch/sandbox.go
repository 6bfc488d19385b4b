package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/msgorch/msgorch/internal/config"
	"github.com/msgorch/msgorch/internal/gateway/sandbox"
	"github.com/msgorch/msgorch/internal/logging"
)

func (a *app) sandbox() *cli.Command {
	return &cli.Command{
		Name: "sandbox", Usage: "run the sandbox gateway alone, until Ctrl-C", Action: a.runSandbox,
		Description: "A WhatsApp made of memory that speaks as Evolution API does, on SANDBOX_ADDR, and below\n" +
			"/graph/v23.0 as the Cloud API. Its page /sandbox/ says how to write to us and how to make it\n" +
			"fail. Its webhooks carry WEBHOOK_TOKEN; those of the Cloud API are signed with it.\n\n" +
			"msgorch sandbox --webhook-url http://127.0.0.1:3001/webhooks/evolution",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "webhook-url", Usage: "`URL` to report to, to which /INSTANCE is added; without it nothing is reported"},
			&cli.Int64Flag{Name: "seed", Usage: "`N` that makes its faults fall the same way every time"},
		},
	}
}

func (a *app) runSandbox(ctx context.Context, c *cli.Command) error {
	if _, err := arguments(c); err != nil {
		return err
	}
	cfg, err := a.config()
	if err != nil {
		return err
	}
	webhooks := c.String("webhook-url")
	if webhooks != "" {
		if webhooks, err = checkBaseURL(webhooks); err != nil {
			return wrongUsage(c, fmt.Errorf("--webhook-url %w", err))
		}
	}
	p, err := reserve(ctx, "SANDBOX_ADDR", cfg.SandboxAddr)
	if err != nil {
		return err
	}
	fake, err := a.startSandbox(p, cfg, sandbox.Options{WebhookURL: webhooks, WebhookToken: cfg.WebhookToken, Seed: c.Int64("seed")})
	if err != nil {
		return err
	}
	defer fake.stop()
	err = a.print(map[string]string{"url": fake.url, "page": fake.url + "/sandbox/"}, func() {
		a.say("The sandbox gateway is at %s, its page at %s/sandbox/. Ctrl-C stops it.\n", fake.url, fake.url)
	})
	if err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-fake.failed:
		return err
	}
}

// fakeGateway is a sandbox that is being served.
type fakeGateway struct {
	url    string
	failed <-chan error // why it is no longer served, unless it was stopped
	stop   func()
}

// startSandbox serves a sandbox on p, which it closes when stopped.
func (a *app) startSandbox(p *port, cfg config.Config, o sandbox.Options) (*fakeGateway, error) {
	log, _, err := logging.New(a.stderr, cfg.AppName, cfg.LogFormat, cfg.LogLevel)
	if err != nil {
		_ = p.Close()
		return nil, settingsError{err}
	}
	url := "http://" + reachable(p.address())
	o.ServerURL, o.Log = url, logging.Component(log, "sandbox")
	handler := sandbox.New(o)
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(o.Log.Handler(), slog.LevelWarn),
	}
	failed, over := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(over)
		if err := server.Serve(p); !errors.Is(err, http.ErrServerClosed) {
			failed <- fmt.Errorf("serve the sandbox: %w", err)
		}
	}()
	stop := func() {
		handler.Close() // hanging answers end
		_ = server.Close()
		<-over
	}
	return &fakeGateway{url, failed, stop}, nil
}
