package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/google/uuid"
	"github.com/urfave/cli/v3"

	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/history"
	"github.com/msgorch/msgorch/internal/media"
)

func (a *app) messageFile() *cli.Command {
	return &cli.Command{
		Name: "media", Usage: "write the file of one that was received", ArgsUsage: "ID", Action: a.writeFile,
		Flags: []cli.Flag{&cli.StringFlag{Name: "to", Usage: "into this new `FILE`; else to standard output"}},
	}
}

func (a *app) writeFile(ctx context.Context, c *cli.Command) error {
	args, err := arguments(c, "ID")
	if err != nil {
		return err
	}
	id, err := uuid.Parse(args[0])
	if err != nil {
		return wrongUsage(c, errors.New("ID must be one that `msgorch messages list` shows"))
	}
	cfg, pool, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer pool.Close()
	store, err := media.Open(cfg.MediaStore, media.Credentials(cfg.AWS))
	if err != nil {
		return err
	}
	r := history.New(pool)
	m, err := r.Get(ctx, id)
	if err != nil {
		return err
	}
	about, err := r.File(ctx, m.Message)
	if err != nil {
		return err
	}
	file, err := store.Open(ctx, about.Key)
	if err != nil {
		return err
	}
	defer file.Close()
	return a.copyTo(c.String("to"), file)
}

// copyTo writes to a new file, or to standard output when it has no name.
func (a *app) copyTo(name string, file io.Reader) error {
	if name == "" {
		_, err := io.Copy(a.stdout, file)
		return err
	}
	out, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // the operator names the file
	if err != nil {
		return err
	}
	_, err = io.Copy(out, file)
	return errors.Join(err, out.Close())
}

// fileState says in a line how a message's file is; nothing if it has none.
func fileState(f *gateway.Media) string {
	switch {
	case f == nil || f.State == "":
		return ""
	case f.Size > 0:
		return fmt.Sprintf("%s, %d bytes of %s", f.State, f.Size, f.MIMEType)
	case f.Fetch != nil && f.Fetch.Error != nil:
		return fmt.Sprintf("%s after %d attempts: %s: %s", f.State, f.Fetch.Attempts, f.Fetch.Error.Code, f.Fetch.Error.Message)
	}
	return f.State
}
