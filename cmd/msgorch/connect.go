package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/urfave/cli/v3"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/internal/config"
	"github.com/msgorch/msgorch/internal/egress"
	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/evolution"
	"github.com/msgorch/msgorch/internal/outbound"
	"github.com/msgorch/msgorch/internal/secret"
	"github.com/msgorch/msgorch/tasks"
)

func (a *app) connectInstanceCommand() *cli.Command {
	return &cli.Command{
		Name: "connect", Usage: "set one up at an Evolution API server and connect its number", ArgsUsage: "NAME", Action: a.connectInstance,
		Description: "Makes the instance there, or takes the one there is; stores its key; has it report to us\n" +
			"with a token of its own; shows the code to scan; and tells of settings that lose messages.\n" +
			"The same command again mends what differs and leaves a number that is connected alone.\n\n" +
			"EVOLUTION_BASE_URL=https://evolution.example EVOLUTION_API_KEY=… PUBLIC_URL=https://msgorch.example \\\n" +
			"  msgorch instances connect sales\n\n" +
			"Whoever scans the code owns the session, so it is shown on a terminal only, or written to --qr-file.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "base-url", Usage: "`URL` of the gateway; left out: as before, at first EVOLUTION_BASE_URL"},
			&cli.StringFlag{Name: "credential-file", Usage: "`FILE` with the gateway's key; left out: " + credentialVariable + ", else EVOLUTION_API_KEY, else the one stored", TakesFile: true},
			&cli.StringFlag{Name: "webhook-url", Usage: "`URL` at which the gateway reaches our API; left out: PUBLIC_URL, else as before"},
			&cli.BoolFlag{Name: "replace-webhook", Usage: "take over a webhook that goes to somebody else now"},
			&cli.StringFlag{Name: "number", Usage: "`PHONE` to connect by typing a code on it, instead of scanning"},
			&cli.StringFlag{Name: "qr-file", Usage: "write the code as a picture to `FILE`, while there is one", TakesFile: true},
			&cli.DurationFlag{Name: "timeout", Value: 5 * time.Minute, Usage: "wait so long for somebody to scan; 0: do not wait", Validator: func(d time.Duration) error {
				if d < 0 {
					return errors.New("must not be negative")
				}
				return nil
			}},
		},
	}
}

// connection is an instance on its way to being connected.
type connection struct {
	*app
	cfg   config.Config
	pool  *pgxpool.Pool
	box   *secret.Box
	admin *evolution.Admin

	name    string
	order   connectOrder
	at      gateway.Account    // as which we speak with the gateway
	row     db.Instance        // ours; zero: not yet
	version string             // of the server
	there   evolution.Instance // at the server
	hook    evolution.Webhook  // as it was
	hooked  bool               // that was read
	url     string             // where it must go
	changed []string
}

// connectOrder is what the operator asked for.
type connectOrder struct {
	baseURL, webhookURL string // empty: not said
	credential          secret.Text
	replace             bool
	number              string // digits; empty: scan
	file                string
	timeout             time.Duration
}

// connected is what came of it.
type connected struct {
	Name       string   `json:"name"`
	Connection string   `json:"connection"`
	Number     string   `json:"number,omitempty"`
	Changed    []string `json:"changed"`
	Warnings   []string `json:"warnings"`
}

func (a *app) connectInstance(ctx context.Context, c *cli.Command) error {
	args, err := arguments(c, "NAME")
	if err != nil {
		return err
	}
	if err := tasks.CheckInstance(args[0]); err != nil {
		return err
	}
	order, err := a.connectOrder(c)
	if err != nil {
		return err
	}
	cfg, pool, err := a.open(ctx, "SECRET_KEY")
	if err != nil {
		return err
	}
	defer pool.Close()
	box, err := secret.NewBox(cfg.SecretKey)
	if err != nil {
		return err
	}
	client := egress.NewClient(cfg.AllowPrivateTargets)
	defer client.CloseIdleConnections()
	s := &connection{
		app: a, cfg: cfg, pool: pool, box: box, admin: evolution.NewAdmin(client), name: args[0], order: order, changed: []string{},
	}
	if err := s.account(ctx); err != nil {
		return s.usage(c, err)
	}
	if err := s.look(ctx); err != nil {
		return s.usage(c, err)
	}
	if err := s.setUp(ctx); err != nil {
		return err
	}
	state, failed := s.link(ctx)
	return errors.Join(s.report(ctx, state), failed)
}

func (a *app) connectOrder(c *cli.Command) (o connectOrder, err error) {
	secrets, err := a.readSecrets(c)
	if err != nil {
		return o, err
	}
	o = connectOrder{credential: secrets.credential, replace: c.Bool("replace-webhook"), file: c.String("qr-file"), timeout: c.Duration("timeout")}
	for flag, into := range map[string]*string{"base-url": &o.baseURL, "webhook-url": &o.webhookURL} {
		if !c.IsSet(flag) {
			continue
		}
		if *into, err = checkBaseURL(c.String(flag)); err != nil {
			return o, wrongUsage(c, fmt.Errorf("--%s %w", flag, err))
		}
	}
	if c.IsSet("number") {
		o.number = strings.TrimPrefix(c.String("number"), "+")
		const fewest, most = 7, 15 // digits, as E.164 has it
		if len(o.number) < fewest || len(o.number) > most || strings.Trim(o.number, "0123456789") != "" {
			return o, wrongUsage(c, errors.New("--number must be a phone number such as +5215550000001"))
		}
		if !a.onTerminal() {
			return o, wrongUsage(c, errors.New("--number shows its code on a terminal only"))
		}
	}
	return o, nil
}

// onTerminal reports whether a person reads what we print.
func (a *app) onTerminal() bool { return a.format != formatJSON && width(a.stdout) > 0 }

// orderError is an order that lacks something.
type orderError struct{ error }

// usage makes wrong usage of an order that lacks something.
func (*connection) usage(c *cli.Command, err error) error {
	if wrong, ok := errors.AsType[orderError](err); ok {
		return wrongUsage(c, wrong.error)
	}
	return err
}

// account finds out what we know of the instance, and as whom to speak with its
// gateway.
func (s *connection) account(ctx context.Context) error {
	row, err := db.New(s.pool).InstanceByName(ctx, s.name)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("find instance: %w", err)
	}
	if err == nil && row.Gateway != gatewayEvolution {
		return fmt.Errorf("the instance %q is behind another gateway (%s); choose another name", s.name, row.Gateway)
	}
	s.row = row
	s.at = gateway.Account{Instance: s.name, BaseURL: firstOf(s.order.baseURL, row.BaseUrl, s.cfg.EvolutionBaseURL)}
	if s.at.BaseURL == "" {
		return orderError{errors.New("say where the gateway is: --base-url, or EVOLUTION_BASE_URL")}
	}
	s.at.Credential = firstOf(s.order.credential, s.cfg.EvolutionAPIKey, s.stored())
	if s.at.Credential == "" {
		return orderError{errors.New("say the gateway's key: --credential-file, or EVOLUTION_API_KEY")}
	}
	return nil
}

// stored is the instance's own key as we have it; empty if we have none that can
// be read.
func (s *connection) stored() secret.Text {
	if len(s.row.Credential) == 0 {
		return ""
	}
	credential, err := s.box.Open(outbound.CredentialContext(s.name), s.row.Credential)
	if err != nil {
		return ""
	}
	return credential
}

// firstOf returns the first that is not empty.
func firstOf[T ~string](all ...T) T {
	for _, s := range all {
		if s != "" {
			return s
		}
	}
	return ""
}

// webhookPath is where an instance's events come in.
func (s *connection) webhookPath() string { return "/webhooks/evolution/" + url.PathEscape(s.name) }

// webhookURL says where the gateway must report to: what was asked for, else
// where it does already, else, for one on this machine, our own port.
func (s *connection) webhookURL() (string, error) {
	if base := firstOf(s.order.webhookURL, s.cfg.PublicURL); base != "" {
		return strings.TrimSuffix(base, s.webhookPath()) + s.webhookPath(), nil
	}
	if s.isOurs(s.hook.URL) {
		return s.hook.URL, nil
	}
	if isLoopback(s.at.BaseURL) && s.cfg.ListenPort != 0 {
		return "http://" + reachable(s.cfg.ListenHost+":"+strconv.Itoa(s.cfg.ListenPort)) + s.webhookPath(), nil
	}
	return "", orderError{errors.New("say where the gateway reaches our API: --webhook-url, or PUBLIC_URL")}
}

// isOurs reports whether a webhook goes to an API like ours.
func (s *connection) isOurs(address string) bool { return strings.HasSuffix(address, s.webhookPath()) }

func isLoopback(address string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(u.Hostname())
	return u.Hostname() == "localhost" || err == nil && ip.IsLoopback()
}
