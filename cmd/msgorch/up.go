package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/urfave/cli/v3"
	"golang.org/x/sync/errgroup"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/internal/gateway/sandbox"
	"github.com/msgorch/msgorch/migrations"
)

const (
	demoInstance = "demo"
	readyWait    = time.Minute // for the API to answer
	readyOften   = 100 * time.Millisecond
	mostWorkers  = 64
)

func (a *app) up() *cli.Command {
	return &cli.Command{
		Name: "up", Usage: "everything in one terminal, until Ctrl-C", Action: a.runUp,
		Description: "Migrates, starts the API, the workers and the sandbox gateway, makes an instance \"demo\" on\n" +
			"the sandbox, and prints where everything is and what to try. What the environment does not\n" +
			"say is filled in for development.\n\n" +
			"msgorch up --workers 2",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "no-sandbox", Usage: "no sandbox gateway and no instance \"demo\""},
			&cli.IntFlag{Name: "workers", Value: 1, Usage: "start `N` worker processes", Validator: func(n int) error {
				if n < 1 || n > mostWorkers {
					return fmt.Errorf("must be from 1 to %d", mostWorkers)
				}
				return nil
			}},
		},
	}
}

func (a *app) runUp(ctx context.Context, c *cli.Command) error {
	if _, err := arguments(c); err != nil {
		return err
	}
	programs, err := siblings("api", "worker")
	if err != nil {
		return err
	}
	s, err := a.setUp(ctx, c.Int("workers"), !c.Bool("no-sandbox"))
	if err != nil {
		return err
	}
	defer s.release()
	if err := migrations.Up(ctx, s.cfg.DatabaseURL); err != nil {
		return err
	}
	if s.sandbox != nil {
		fake, err := a.startSandbox(s.sandbox, s.cfg, sandbox.Options{
			WebhookURL: s.urls.API + "/webhooks/evolution", WebhookToken: s.cfg.WebhookToken,
		})
		if err != nil {
			return err
		}
		defer fake.stop() // after the workers, which may be talking to it
		if err := a.putDemo(ctx, s); err != nil {
			return err
		}
	}
	return a.runAll(ctx, s, programs)
}

// putDemo makes the instance to play with, or tells it where the sandbox is
// now. One that is not on a sandbox belongs to somebody and stays as it is.
func (a *app) putDemo(ctx context.Context, s *setting) error {
	pool, err := db.Open(ctx, s.cfg.DatabaseURL, 1)
	if err != nil {
		return err
	}
	defer pool.Close()
	q := db.New(pool)
	before, err := q.InstanceByName(ctx, demoInstance)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("find instance %s: %w", demoInstance, err)
	}
	if err == nil && before.Gateway != gatewaySandbox {
		a.note("warning: the instance %q is not on the sandbox and stays as it is", demoInstance)
		return nil
	}
	if _, err := q.PutInstance(ctx, db.PutInstanceParams{Name: demoInstance, Gateway: gatewaySandbox, BaseUrl: s.urls.Sandbox}); err != nil {
		return fmt.Errorf("put instance %s: %w", demoInstance, err)
	}
	return nil
}

// runAll runs the programs until ctx ends or one of them does, and returns when
// all have stopped.
func (a *app) runAll(ctx context.Context, s *setting, programs map[string]string) error {
	group, ctx := errgroup.WithContext(ctx)
	s.release() // the children listen there now
	start := func(name, path string, env ...string) {
		group.Go(func() error {
			return a.runChild(ctx, child{name: name, path: path, env: append(env, s.env...), patience: s.cfg.ShutdownWait + 5*time.Second})
		})
	}
	start("api", programs["api"])
	for i, addr := range s.workers {
		name := "worker"
		if len(s.workers) > 1 {
			name = fmt.Sprintf("worker %d", i+1)
		}
		start(name, programs["worker"], "WORKER_ADDR="+addr)
	}
	group.Go(func() error {
		if err := waitReady(ctx, s.urls.API+"/readyz"); err != nil || ctx.Err() != nil {
			return err
		}
		return a.print(s.urls, func() { a.welcome(s) })
	})
	return group.Wait()
}

// waitReady returns when url answers 200, or ctx ends, which is no failure.
func waitReady(ctx context.Context, url string) error {
	last := errors.New("nobody answers")
	giveUp := time.After(readyWait)
	ticker := time.NewTicker(readyOften)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-giveUp:
			return fmt.Errorf("the API is not ready after %v: %w", readyWait, last)
		case <-ticker.C:
		}
		status, err := probe(ctx, url)
		if err == nil && status == http.StatusOK {
			return nil
		}
		last = err
		if err == nil {
			last = fmt.Errorf("%s answers %d", url, status)
		}
	}
}

// probe asks a server on this machine how it is.
func probe(ctx context.Context, url string) (status int, err error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return 0, err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // no proxy
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	_ = resp.Body.Close()
	return resp.StatusCode, nil
}
