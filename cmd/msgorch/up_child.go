package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// sameKeystroke is how much later than a child we may hear of the Ctrl-C that
// the terminal sends to both.
const sameKeystroke = 500 * time.Millisecond

// siblings returns the paths of programs that are in the folder of this one.
func siblings(names ...string) (map[string]string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	if target, err := filepath.EvalSymlinks(self); err == nil {
		self = target
	}
	paths := map[string]string{}
	for _, name := range names {
		path := filepath.Join(filepath.Dir(self), name+filepath.Ext(self))
		if _, err := exec.LookPath(path); err != nil {
			return nil, fmt.Errorf("%s is missing: run `make build`", path)
		}
		paths[name] = path
	}
	return paths, nil
}

// child is a program that `up` runs.
type child struct {
	name, path string
	env        []string      // beyond our own
	patience   time.Duration // between SIGTERM and SIGKILL
}

// runChild runs a program until ctx ends; it is then asked to stop, and killed
// when it does not. A program that ends before that is an error.
//
// Its output goes straight to our standard error, so that it knows whether that
// is a terminal, and its last words stand right above what we say about it.
func (a *app) runChild(ctx context.Context, c child) error {
	// The kernel ends a child when the thread that started it ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	cmd := exec.CommandContext(ctx, c.path) //nolint:gosec // our own programs
	cmd.Env = append(os.Environ(), c.env...)
	cmd.Stdout, cmd.Stderr = a.stderr, a.stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = c.patience
	endWithParent(cmd)
	err := cmd.Run()

	if ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-time.After(sameKeystroke):
		}
	}
	if ctx.Err() != nil {
		return killed(c, err)
	}
	if err == nil {
		err = errors.New("exit status 0")
	}
	err = fmt.Errorf("%s ended early: %w", c.name, err)
	a.note("%v; its last lines are above; stopping the others", err)
	return err
}

// killed returns an error when a program did not stop by itself. How it says
// goodbye otherwise is its own affair.
func killed(c child, err error) error {
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		return nil
	}
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signal() == syscall.SIGKILL {
		return fmt.Errorf("%s did not stop within %v and was killed", c.name, c.patience)
	}
	return nil
}
