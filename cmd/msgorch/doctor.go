package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/urfave/cli/v3"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/internal/config"
	"github.com/msgorch/msgorch/internal/logging"
)

// What we need of the servers.
const (
	oldestPostgres = 15
	oldestRedis    = "6.2"
)

func (a *app) doctor() *cli.Command {
	return &cli.Command{
		Name: "doctor", Usage: "check every part and say what to do", Action: a.examine,
		Description: "A line for each part: ok, warn or fail, what was found, and after an arrow what to do.\n" +
			"It sends no message. Exit status 1 when anything fails.\n\n" +
			"msgorch doctor\n" +
			"msgorch doctor --offline -o json",
		Flags: []cli.Flag{&cli.BoolFlag{Name: "offline", Usage: "do not call the gateways"}},
	}
}

// verdict is how a part is.
type verdict string

const (
	verdictOK   verdict = "ok"
	verdictWarn verdict = "warn" // it works, or may be meant
	verdictFail verdict = "fail"
)

// finding is what the doctor says about one part.
type finding struct {
	Verdict verdict `json:"verdict"`
	Part    string  `json:"part"`
	Detail  string  `json:"detail"`
	Remedy  string  `json:"remedy,omitempty"` // what to do
}

// doctor collects findings.
type doctor struct {
	findings []finding
}

func (d *doctor) ok(part, format string, args ...any) {
	d.findings = append(d.findings, finding{verdictOK, part, fmt.Sprintf(format, args...), ""})
}

func (d *doctor) warn(part, remedy, format string, args ...any) {
	d.findings = append(d.findings, finding{verdictWarn, part, fmt.Sprintf(format, args...), remedy})
}

func (d *doctor) fail(part, remedy, format string, args ...any) {
	d.findings = append(d.findings, finding{verdictFail, part, fmt.Sprintf(format, args...), remedy})
}

func (d *doctor) healthy() bool {
	for _, f := range d.findings {
		if f.Verdict == verdictFail {
			return false
		}
	}
	return true
}

func (a *app) examine(ctx context.Context, c *cli.Command) error {
	if _, err := arguments(c); err != nil {
		return err
	}
	d := &doctor{}
	cfg := d.checkEnvironment(a.getenv)
	d.checkStore(ctx, cfg, c.Bool("offline"))
	d.checkMedia(ctx, cfg)
	d.checkRedis(ctx, cfg)
	d.checkPrograms(ctx, cfg)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	result := struct {
		Healthy  bool      `json:"healthy"`
		Findings []finding `json:"findings"`
	}{d.healthy(), d.findings}
	err := a.print(result, func() { a.sayFindings(d.findings) })
	if err == nil && !result.Healthy {
		return errSilent
	}
	return err
}

func (a *app) sayFindings(findings []finding) {
	widest := 0
	for _, f := range findings {
		widest = max(widest, len(f.Part))
	}
	for _, f := range findings {
		detail := oneLine(f.Detail)
		if f.Remedy != "" {
			detail += " → " + f.Remedy
		}
		a.say("%-4s  %-*s  %s\n", f.Verdict, widest, f.Part, printable(detail))
	}
}

// checkEnvironment tells each mistake and returns the settings without the
// variables that are wrong, so that the rest can be checked.
func (d *doctor) checkEnvironment(given func(string) string) config.Config {
	const part = "environment"
	getenv, err := config.DotEnv(".", given)
	if err != nil {
		d.fail(part, "mend the file", "%v", err)
		getenv = given
	}
	wrong := map[string]bool{}
	cfg, err := config.LoadFor(getenv, "DATABASE_URL")
	if err != nil {
		for line := range strings.Lines(err.Error()) {
			name, _, _ := strings.Cut(line, ":")
			wrong[name] = true
			d.fail(part, "see .env.example", "%s", line)
		}
		cfg, err = config.LoadFor(func(name string) string {
			if wrong[name] {
				return ""
			}
			return getenv(name)
		})
	}
	if err != nil { // one mistake hid another
		d.fail(part, "see .env.example", "%v", err)
		return cfg
	}
	if _, _, err := logging.New(io.Discard, cfg.AppName, cfg.LogFormat, cfg.LogLevel); err != nil {
		d.fail(part, "see .env.example", "%v", err)
	}
	if len(d.findings) == 0 {
		d.ok(part, "every variable is right")
	}
	if cfg.APIToken != "" {
		d.warn(part, "use `msgorch keys create` in production", "API_TOKEN is set, a key with every scope that cannot be revoked")
	}
	return without(cfg, wrong)
}

// without forgets the defaults of variables that are wrong: nothing was meant
// to be there.
func without(cfg config.Config, wrong map[string]bool) config.Config {
	if wrong["REDIS_URL"] {
		cfg.Redis = nil
	}
	if wrong["LISTEN_HOST"] || wrong["LISTEN_PORT"] {
		cfg.ListenHost = ""
	}
	if wrong["WORKER_ADDR"] {
		cfg.WorkerAddr = ""
	}
	return cfg
}

// checkStore looks at PostgreSQL and what is in it.
func (d *doctor) checkStore(ctx context.Context, cfg config.Config, offline bool) {
	const part = "PostgreSQL"
	if cfg.DatabaseURL == "" {
		d.fail(part, "set DATABASE_URL", "not checked, nor what is stored in it")
		return
	}
	pool, err := db.Open(ctx, cfg.DatabaseURL, 1)
	if err != nil {
		d.fail(part, "mend DATABASE_URL", "%v", err)
		return
	}
	defer pool.Close()
	if !d.checkPostgres(ctx, pool) || !d.checkMigrations(ctx, cfg.DatabaseURL) {
		return
	}
	instances, err := allInstances(ctx, db.New(pool))
	if err != nil {
		d.fail("instances", "look at PostgreSQL's log", "%v", err)
		return
	}
	d.checkCredentials(cfg.SecretKey, instances)
	d.checkInstances(ctx, cfg, instances, offline)
}

func (d *doctor) checkPostgres(ctx context.Context, pool *pgxpool.Pool) bool {
	const part = "PostgreSQL"
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var number int
	var name string
	started := time.Now()
	err := pool.QueryRow(ctx, "SELECT current_setting('server_version_num')::int, current_setting('server_version')").Scan(&number, &name)
	if err != nil {
		d.fail(part, "start it, or mend DATABASE_URL", "%v", err)
		return false
	}
	const perMajor = 10_000 // 160004 is 16.4
	if number/perMajor < oldestPostgres {
		d.fail(part, fmt.Sprintf("upgrade it to %d or later", oldestPostgres), "version %s is too old", name)
		return false
	}
	d.ok(part, "version %s, answers in %v", name, time.Since(started).Round(time.Millisecond))
	return true
}
