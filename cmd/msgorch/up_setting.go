package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/msgorch/msgorch/internal/config"
	"github.com/msgorch/msgorch/internal/secret"
)

// developmentFolder is where what `up` must remember is kept, below the folder
// it runs in.
const developmentFolder = ".run/dev"

// urls are where everything is, as `up` prints them.
type urls struct {
	API      string   `json:"api"`
	Docs     string   `json:"docs"`
	Operator string   `json:"operator"`
	Queues   string   `json:"queues"`
	Workers  []string `json:"workers"`
	Sandbox  string   `json:"sandbox,omitempty"`
	Token    string   `json:"token"`
}

// setting is what `up` runs in.
type setting struct {
	cfg     config.Config
	env     []string // what the children are told beyond our own environment
	workers []string // WORKER_ADDR of each
	urls    urls
	sandbox *port   // nil: none
	held    []*port // reserved until the children start
}

// setUp reads the environment, fills in what it lacks, and reserves every port,
// so that a taken one is found before anything runs.
func (a *app) setUp(ctx context.Context, workers int, withSandbox bool) (*setting, error) {
	getenv, err := a.environ()
	if err != nil {
		return nil, err
	}
	f := filling{getenv: getenv, filled: map[string]string{}}
	if err := a.fill(f); err != nil {
		return nil, err
	}
	s := &setting{}
	if s.cfg, err = config.LoadFor(f.get, "DATABASE_URL"); err != nil {
		return nil, settingsError{err}
	}
	if err := s.reserve(ctx, f, workers, withSandbox); err != nil {
		s.release()
		return nil, err
	}
	for name, value := range f.filled {
		s.env = append(s.env, name+"="+value)
	}
	s.urls.Token = s.cfg.APIToken.Reveal()
	return s, nil
}

// release frees the ports that are held for the children. It may be called
// twice.
func (s *setting) release() {
	for _, p := range s.held {
		_ = p.Close()
	}
	s.held = nil
}

// filling is an environment to which values are added.
type filling struct {
	getenv func(string) string
	filled map[string]string
}

// get returns a variable; what was filled in wins.
func (f filling) get(name string) string {
	if v, ok := f.filled[name]; ok {
		return v
	}
	return f.getenv(name)
}

func (f filling) lacks(name string) bool { return strings.TrimSpace(f.get(name)) == "" }

// offer sets a variable that is not set.
func (f filling) offer(name, value string) {
	if f.lacks(name) {
		f.filled[name] = value
	}
}

// fill sets what a development environment needs and nobody has set.
func (a *app) fill(f filling) error {
	f.offer("API_TOKEN", "mo_dev_"+random())
	f.offer("WEBHOOK_TOKEN", random())
	f.offer("ALLOW_PRIVATE_TARGETS", "true")
	if folder, err := filepath.Abs(filepath.Join(developmentFolder, "media")); err == nil {
		f.offer("MEDIA_STORE", folder)
	}
	if !f.lacks("SECRET_KEY") {
		return nil
	}
	key, err := a.keptKey()
	if err != nil {
		return err
	}
	f.offer("SECRET_KEY", key)
	return nil
}

func random() string {
	b := make([]byte, secret.KeyBytes)
	_, _ = rand.Read(b) // never fails
	return base64.RawURLEncoding.EncodeToString(b)
}

func keptKeyFile() string { return filepath.Join(developmentFolder, "secret_key") }

// keptKey returns the sealing key of this folder, which it makes the first
// time. It must stay the same, as credentials that were stored need it.
func (a *app) keptKey() (string, error) {
	name := keptKeyFile()
	kept, err := os.ReadFile(name) //nolint:gosec // its name is fixed
	if err == nil {
		return strings.TrimSpace(string(kept)), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read SECRET_KEY: %w", err)
	}
	b := make([]byte, secret.KeyBytes)
	_, _ = rand.Read(b) // never fails
	key := base64.StdEncoding.EncodeToString(b)
	if err := keep(name, key+"\n"); err != nil {
		a.note("warning: SECRET_KEY is for this run only, so credentials stored now cannot be read later: %v", err)
	}
	return key, nil
}

func keep(name, text string) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil { //nolint:gosec // the folder is no secret
		return err
	}
	return os.WriteFile(name, []byte(text), 0o600)
}

// reserve takes the ports, all at once, so that two that are the same are found
// too, and tells the children which they are.
func (s *setting) reserve(ctx context.Context, f filling, workers int, withSandbox bool) error {
	hold := func(variable, addr string) (*port, error) {
		p, err := reserve(ctx, variable, addr)
		if err == nil {
			s.held = append(s.held, p)
		}
		return p, err
	}
	public, err := hold("LISTEN_PORT", net.JoinHostPort(s.cfg.ListenHost, strconv.Itoa(s.cfg.ListenPort)))
	if err != nil {
		return err
	}
	admin, err := hold("ADMIN_ADDR", s.cfg.AdminAddr)
	if err != nil {
		return err
	}
	addr := s.cfg.WorkerAddr
	for range workers {
		p, err := hold("WORKER_ADDR", addr)
		if err != nil {
			return err
		}
		s.workers = append(s.workers, p.address())
		s.urls.Workers = append(s.urls.Workers, "http://"+reachable(p.address()))
		addr = net.JoinHostPort(p.host, "0") // only the first has the port that was asked for
	}
	f.filled["LISTEN_PORT"], f.filled["ADMIN_ADDR"] = public.number(), admin.address()
	s.urls.API, s.urls.Operator = "http://"+reachable(public.address()), "http://"+reachable(admin.address())
	s.urls.Docs, s.urls.Queues = s.urls.API+"/docs", s.urls.Operator+"/queues/"
	if !withSandbox {
		return nil
	}
	return s.reserveSandbox(ctx, f)
}

func (s *setting) reserveSandbox(ctx context.Context, f filling) (err error) {
	if s.sandbox, err = reserve(ctx, "SANDBOX_ADDR", s.cfg.SandboxAddr); err != nil {
		return err
	}
	s.urls.Sandbox = "http://" + reachable(s.sandbox.address())
	if f.lacks("EVOLUTION_BASE_URL") { // else the key is for somebody else's server
		f.offer("EVOLUTION_BASE_URL", s.urls.Sandbox)
		f.offer("EVOLUTION_API_KEY", "sandbox")
	}
	return nil
}
