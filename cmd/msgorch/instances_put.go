package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/urfave/cli/v3"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/internal/apikey"
	"github.com/msgorch/msgorch/internal/config"
	"github.com/msgorch/msgorch/internal/fault"
	"github.com/msgorch/msgorch/internal/outbound"
	"github.com/msgorch/msgorch/internal/secret"
	"github.com/msgorch/msgorch/tasks"
)

// Gateways, as instances name them.
const (
	gatewayEvolution = "evolution"
	gatewayCloud     = "cloud"
	gatewaySandbox   = "sandbox"
)

// credentialVariable is where a credential may stand instead of in a file.
const credentialVariable = "MSGORCH_CREDENTIAL" //nolint:gosec // its name, not its value

func (a *app) putInstanceCommand() *cli.Command {
	return &cli.Command{
		Name: "put", Usage: "make or change one; what is not named stays as it is", ArgsUsage: "NAME", Action: a.putInstance,
		Description: "Secrets are read from files, - being standard input, and never from arguments, which\n" +
			"everybody on this machine can see. A credential may also be in " + credentialVariable + ".",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "gateway", Usage: "`KIND` of gateway: evolution (for a new one, if not named), cloud or sandbox"},
			&cli.StringFlag{Name: "base-url", Usage: "`URL` of the gateway; a new one has EVOLUTION_BASE_URL, or SANDBOX_ADDR"},
			&cli.StringFlag{Name: "credential-file", Usage: "`FILE` with what the gateway wants to see: Evolution's API key, Meta's access token", TakesFile: true},
			&cli.StringFlag{Name: "webhook-token-file", Usage: "`FILE` with the bearer token that its webhooks carry", TakesFile: true},
			&cli.StringFlag{Name: "phone-number-id", Usage: "cloud: Meta's `ID` of the number"},
			&cli.StringFlag{Name: "app-secret-file", Usage: "cloud: `FILE` with what Meta signs webhooks with; the one before counts too", TakesFile: true},
			&cli.StringFlag{Name: "verify-token-file", Usage: "cloud: `FILE` with what Meta shows when the webhook is set up", TakesFile: true},
			&cli.StringFlag{Name: "in-doubt", Usage: "what happens to a message of which nobody can tell whether it was sent: `hold` it for a person, or resend it", Validator: checkInDoubt},
			&cli.Int32Flag{Name: "rate-per-minute", Usage: "at most `N` messages a minute, evenly; 0: no limit, so for all of these"},
			&cli.Int32Flag{Name: "burst", Usage: "`N` messages may go at once after a quiet time"},
			&cli.Int32Flag{Name: "chat-rate-per-minute", Usage: "at most `N` messages a minute to each chat"},
			&cli.Int32Flag{Name: "chat-burst", Usage: "`N` messages may go to a chat at once after a quiet time"},
			&cli.StringFlag{Name: "gap-ms", Usage: "`MIN-MAX` milliseconds between two messages, drawn at random, such as 1000-4000"},
			&cli.Int32Flag{Name: "daily-cap", Usage: "at most `N` messages a day of UTC"},
			&cli.StringFlag{Name: "warm-up", Usage: "`FIRST/DAYS`: the daily cap begins at FIRST today and is reached after DAYS, such as 20/14"},
		},
	}
}

func (a *app) putInstance(ctx context.Context, c *cli.Command) error {
	args, err := arguments(c, "NAME")
	if err != nil {
		return err
	}
	name := args[0]
	if err := tasks.CheckInstance(name); err != nil {
		return err
	}
	secrets, err := a.readSecrets(c)
	if err != nil {
		return err
	}
	var required []string
	if secrets.credential+secrets.appSecret != "" {
		required = append(required, "SECRET_KEY")
	}
	cfg, pool, err := a.open(ctx, required...)
	if err != nil {
		return err
	}
	defer pool.Close()
	q := db.New(pool)
	before, err := q.InstanceByName(ctx, name)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("find instance: %w", err)
	}
	p, err := putParams(c, cfg, before, name)
	if err != nil {
		return err
	}
	if err := secrets.seal(&p, before, cfg.SecretKey); err != nil {
		return err
	}
	row, err := q.PutInstance(ctx, p)
	if db.Violates(err, "instances_phone_number_key") {
		return errors.New("another instance has this --phone-number-id")
	}
	if err != nil {
		return fmt.Errorf("put instance: %w", err)
	}
	if err := q.LookAfter(ctx, name); err != nil { // messages may have waited for what is mended now
		return fmt.Errorf("wake the workers: %w", err)
	}
	return a.printInstance(instanceOf(row.Instance))
}

func checkInDoubt(policy string) error {
	if policy != "hold" && policy != "resend" {
		return errors.New("must be hold or resend")
	}
	return nil
}

// putParams takes from the command what it names and from before, which is zero
// for a new instance, what it does not.
func putParams(c *cli.Command, cfg config.Config, before db.Instance, name string) (db.PutInstanceParams, error) {
	p := db.PutInstanceParams{Name: name, Gateway: before.Gateway, BaseUrl: before.BaseUrl}
	if p.Gateway == "" {
		p.Gateway = gatewayEvolution
	}
	if c.IsSet("gateway") {
		p.Gateway = c.String("gateway")
	}
	switch p.Gateway {
	case gatewayEvolution, gatewaySandbox, gatewayCloud:
	default:
		return p, wrongUsage(c, errors.New("--gateway must be evolution, cloud or sandbox"))
	}
	if err := putPhone(c, before, &p); err != nil {
		return p, wrongUsage(c, err)
	}
	if c.IsSet("base-url") {
		u, err := checkBaseURL(c.String("base-url"))
		if err != nil {
			return p, wrongUsage(c, fmt.Errorf("--base-url %w", err))
		}
		p.BaseUrl = u
	}
	if p.BaseUrl == "" && p.Gateway == gatewaySandbox {
		p.BaseUrl = "http://" + reachable(cfg.SandboxAddr)
	}
	if c.IsSet("in-doubt") {
		p.InDoubt = new(c.String("in-doubt"))
	}
	if err := putLimits(c, &p); err != nil {
		return p, wrongUsage(c, err)
	}
	if err := outbound.CheckLimits(p, before); err != nil {
		return p, wrongUsage(c, errors.New(fault.Of(err).Detail))
	}
	return p, nil
}

// putPhone takes Meta's id of the number from the command.
func putPhone(c *cli.Command, before db.Instance, p *db.PutInstanceParams) error {
	if p.Gateway != gatewayCloud {
		if c.IsSet("phone-number-id") || c.IsSet("app-secret-file") || c.IsSet("verify-token-file") {
			return errors.New("only --gateway cloud has a --phone-number-id, an --app-secret-file and a --verify-token-file")
		}
		return nil
	}
	id := c.String("phone-number-id")
	if id == "" {
		if before.PhoneNumberID == nil {
			return errors.New("--gateway cloud needs the number's --phone-number-id")
		}
		return nil
	}
	if strings.Trim(id, "0123456789") != "" || len(id) > 32 {
		return errors.New("--phone-number-id must be digits: Meta's id of the number, not the number")
	}
	p.PhoneNumberID = &id
	return nil
}

// putLimits takes the limits from the command.
func putLimits(c *cli.Command, p *db.PutInstanceParams) error {
	for flag, into := range map[string]**int32{
		"rate-per-minute": &p.RatePerMinute, "burst": &p.Burst, "chat-rate-per-minute": &p.ChatRatePerMinute,
		"chat-burst": &p.ChatBurst, "daily-cap": &p.DailyCap,
	} {
		if c.IsSet(flag) {
			*into = new(c.Int32(flag))
		}
	}
	var err error
	if c.IsSet("gap-ms") {
		if p.GapMinMs, p.GapMaxMs, err = twoNumbers(c.String("gap-ms"), "-"); err != nil {
			return fmt.Errorf("--gap-ms %w, such as 1000-4000", err)
		}
	}
	if c.IsSet("warm-up") {
		if p.WarmUpFirst, p.WarmUpDays, err = twoNumbers(c.String("warm-up"), "/"); err != nil {
			return fmt.Errorf("--warm-up %w, such as 20/14", err)
		}
		p.WarmUpStart = new(time.Now().UTC().Truncate(24 * time.Hour))
	}
	return nil
}

// twoNumbers reads 1000-4000 or 20/14; 0 stands for both being 0.
func twoNumbers(s, between string) (first, second *int32, err error) {
	a, b, both := strings.Cut(s, between)
	if s == "0" {
		a, b, both = "0", "0", true
	}
	x, errA := strconv.ParseInt(a, 10, 32)
	y, errB := strconv.ParseInt(b, 10, 32)
	if !both || errA != nil || errB != nil {
		return nil, nil, errors.New("must be two numbers")
	}
	return new(int32(x)), new(int32(y)), nil
}

// checkBaseURL drops trailing slashes. Its errors quote nothing, as people put
// passwords in URLs.
func checkBaseURL(s string) (string, error) {
	u, err := url.Parse(s)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" {
		return "", errors.New("must be a URL such as https://evolution.example")
	}
	if u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return "", errors.New("must have no user, password, query or fragment; the credential goes into --credential-file")
	}
	return strings.TrimRight(s, "/"), nil
}

// secrets are what an instance keeps and never shows; empty: not given.
type secrets struct {
	credential, webhookToken, appSecret, verifyToken secret.Text
}

func (a *app) readSecrets(c *cli.Command) (s secrets, err error) {
	fromInput := 0
	for _, flag := range []string{"credential-file", "webhook-token-file", "app-secret-file", "verify-token-file"} {
		if c.String(flag) == "-" {
			fromInput++
		}
	}
	if fromInput > 1 {
		return s, wrongUsage(c, errors.New("only one secret can be read from standard input"))
	}
	if s.credential, err = a.readSecret(c, "credential-file"); err != nil {
		return s, err
	}
	if s.credential == "" {
		getenv, err := a.environ()
		if err != nil {
			return s, err
		}
		s.credential = secret.Text(strings.TrimSpace(getenv(credentialVariable)))
	}
	if s.webhookToken, err = a.readSecret(c, "webhook-token-file"); err != nil {
		return s, err
	}
	if s.appSecret, err = a.readSecret(c, "app-secret-file"); err != nil {
		return s, err
	}
	if s.verifyToken, err = a.readSecret(c, "verify-token-file"); err != nil {
		return s, err
	}
	const least = 16 // as for WEBHOOK_TOKEN
	if s.webhookToken != "" && utf8.RuneCountInString(s.webhookToken.Reveal()) < least {
		return s, fmt.Errorf("the webhook token must have at least %d characters; make one with: openssl rand -base64 32", least)
	}
	return s, nil
}

// readSecret reads the file that a flag names, without the white space around
// it.
func (a *app) readSecret(c *cli.Command, flag string) (secret.Text, error) {
	name := c.String(flag)
	var text []byte
	var err error
	switch name {
	case "":
		return "", nil
	case "-":
		text, err = io.ReadAll(a.stdin)
	default:
		text, err = os.ReadFile(name) //nolint:gosec // the operator names the file
	}
	if err != nil {
		return "", fmt.Errorf("--%s: %w", flag, err)
	}
	s := strings.TrimSpace(string(text))
	if s == "" {
		return "", fmt.Errorf("--%s: there is nothing in it", flag)
	}
	return secret.Text(s), nil
}

// seal puts the secrets into p as they are stored.
func (s secrets) seal(p *db.PutInstanceParams, before db.Instance, secretKey []byte) error {
	if s.webhookToken != "" {
		p.WebhookTokenHash = apikey.Hash(s.webhookToken.Reveal())
	}
	if s.verifyToken != "" {
		p.VerifyTokenHash = apikey.Hash(s.verifyToken.Reveal())
	}
	if s.credential+s.appSecret == "" {
		return nil
	}
	box, err := secret.NewBox(secretKey)
	if err != nil {
		return err
	}
	if s.appSecret != "" {
		if err := outbound.PutAppSecret(box, before, s.appSecret, p); err != nil {
			return err
		}
	}
	if s.credential != "" {
		p.Credential, err = box.Seal(outbound.CredentialContext(p.Name), s.credential)
	}
	return err
}
