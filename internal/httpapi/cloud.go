package httpapi

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"github.com/jackc/pgx/v5"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/internal/apikey"
	"github.com/msgorch/msgorch/internal/fault"
	"github.com/msgorch/msgorch/internal/outbound"
	"github.com/msgorch/msgorch/internal/secret"
)

// cloud is the gateway that is Meta's own.
const cloud = "cloud"

type cloudVerifyInput struct {
	Instance  string `path:"instance" doc:"Name of the instance"`
	Mode      string `query:"hub.mode" doc:"subscribe"`
	Token     string `query:"hub.verify_token" doc:"The instance's verify_token"`
	Challenge string `query:"hub.challenge" doc:"What to answer"`
}

type cloudVerifyOutput struct {
	ContentType string `header:"Content-Type"`
	Body        []byte
}

// verifyCloud answers Meta's question whether a webhook is ours.
func (s *server) verifyCloud(ctx context.Context, in *cloudVerifyInput) (*cloudVerifyOutput, error) {
	i, err := db.New(s.Pool).InstanceByName(ctx, in.Instance)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return nil, s.fail(ctx, "path", orMissing(err, nil))
	}
	if in.Mode != "subscribe" || len(i.VerifyTokenHash) == 0 || !apikey.HashEqual(in.Token, i.VerifyTokenHash) {
		return nil, newProblem(http.StatusForbidden, "invalid_verify_token", "The token is not the instance's verify_token.")
	}
	return &cloudVerifyOutput{ContentType: "text/plain; charset=utf-8", Body: []byte(in.Challenge)}, nil
}

type cloudWebhookInput struct {
	Instance  string `path:"instance" doc:"Name of the instance"`
	Signature string `header:"X-Hub-Signature-256" doc:"sha256= and the body's HMAC under the app's secret"`
	RawBody   []byte `contentType:"application/json"`
}

// cloudWebhook makes an event durable that Meta has signed. One webhook of an app
// tells of all its numbers; each part finds its own instance when it is applied.
func (s *server) cloudWebhook(ctx context.Context, in *cloudWebhookInput) (*webhookOutput, error) {
	known, err := s.instances.Do(ctx, in.Instance)
	if err != nil {
		return nil, s.failWebhook(ctx, err)
	}
	i := db.Instance{}
	if known != nil {
		i = *known
	}
	if !s.isSigned(ctx, i, in) {
		return nil, s.failWebhook(ctx, fault.New(fault.Denied, "invalid_signature",
			"The header X-Hub-Signature-256 is not the body's signature under this instance's app_secret."))
	}
	e, err := s.Inbound.Open(cloud, in.RawBody)
	if err != nil {
		return nil, s.failWebhook(ctx, err)
	}
	r, err := s.Inbound.Accept(ctx, i, e)
	if err != nil {
		return nil, s.failWebhook(ctx, err)
	}
	out := &webhookOutput{}
	out.Body.Status, out.Body.EventID = r.Status, r.EventID.String()
	return out, nil
}

// isSigned reports whether one of the instance's app secrets has signed the body.
func (s *server) isSigned(ctx context.Context, i db.Instance, in *cloudWebhookInput) bool {
	var secrets []secret.Text
	for _, sealed := range [][]byte{i.AppSecret, i.PreviousAppSecret} {
		if i.Gateway != cloud || len(sealed) == 0 {
			continue
		}
		opened, err := s.Box.Open(outbound.AppSecretContext(i.Name), sealed)
		if err != nil {
			s.log.LogAttrs(ctx, slog.LevelError, "secret.unreadable", slog.String("instance", i.Name), slog.Any("error", err))
			continue
		}
		secrets = append(secrets, opened)
	}
	return s.Signed(in.RawBody, in.Signature, secrets...)
}

// putCloud takes what only the Cloud API needs from a request.
func (s *server) putCloud(in *putInstanceInput, before db.Instance, p *db.PutInstanceParams) error {
	b := in.Body
	if b.Gateway != cloud {
		if b.PhoneNumberID+b.AppSecret+b.VerifyToken != "" {
			return fault.New(fault.Invalid, "invalid_gateway", "Only the gateway cloud has a phone_number_id, an app_secret and a verify_token.").At("gateway")
		}
		return nil
	}
	if b.PhoneNumberID != "" {
		p.PhoneNumberID = &b.PhoneNumberID
	} else if before.PhoneNumberID == nil {
		return fault.New(fault.Invalid, "missing_phone_number_id", "The gateway cloud needs the number's phone_number_id.").At("phone_number_id")
	}
	if b.VerifyToken != "" {
		p.VerifyTokenHash = apikey.Hash(b.VerifyToken)
	}
	if b.AppSecret == "" {
		return nil
	}
	if err := outbound.PutAppSecret(s.Box, before, secret.Text(b.AppSecret), p); err != nil {
		return fault.New(fault.Conflict, "no_secret_key", "The server has no SECRET_KEY, so it cannot store an app_secret.").At("app_secret").Because(err)
	}
	return nil
}
