package httpapi

import (
	"context"
	"net/http"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/internal/apikey"
	"github.com/msgorch/msgorch/internal/fault"
	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/tasks"
)

// evolution is the gateway whose events come in at these routes; the sandbox
// speaks as it does.
const evolution = "evolution"

// Webhook is what every route of a webhook takes. It is exported because huma
// does not look into embedded structs that are not.
type Webhook struct {
	Authorization string `header:"Authorization" doc:"Bearer and the instance's webhook token"`
	RawBody       []byte `contentType:"application/json"`
}

type instanceWebhook struct {
	Instance string `path:"instance" doc:"Name of the instance"`
	Webhook
}

type eventWebhook struct {
	Instance string `path:"instance" doc:"Name of the instance"`
	Event    string `path:"event" doc:"Name of the event; the body's counts"`
	Webhook
}

type webhookOutput struct {
	Body struct {
		Status  string `json:"status" enum:"accepted,duplicate,quarantined"`
		EventID string `json:"event_id" format:"uuid"`
	}
}

func (s *server) webhookOfInstance(ctx context.Context, in *instanceWebhook) (*webhookOutput, error) {
	return s.evolutionWebhook(ctx, in.Instance, in.Webhook)
}

func (s *server) webhookOfEvent(ctx context.Context, in *eventWebhook) (*webhookOutput, error) {
	return s.evolutionWebhook(ctx, in.Instance, in.Webhook)
}

func (s *server) webhookOfAny(ctx context.Context, in *Webhook) (*webhookOutput, error) {
	return s.evolutionWebhook(ctx, "", *in)
}

// evolutionWebhook makes an event durable. A gateway gives up for good on most
// 4xx, so those are only for what no retry can mend. Where the URL names no
// instance, the body does.
func (s *server) evolutionWebhook(ctx context.Context, name string, in Webhook) (*webhookOutput, error) {
	i, e, err := s.receive(ctx, name, in)
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

// receive finds out whose event this is, and that its sender may say so. Where
// the URL names the instance, nothing of the body is looked at before that.
func (s *server) receive(ctx context.Context, name string, in Webhook) (i db.Instance, e gateway.Envelope, err error) {
	if name != "" {
		if i, err = s.gatewayOf(ctx, name, bearer(in.Authorization)); err != nil {
			return i, e, err
		}
	}
	if e, err = s.Inbound.Open(evolution, in.RawBody); err != nil {
		return i, e, err
	}
	switch {
	case name == "" && e.Instance == "":
		return i, e, fault.New(fault.Invalid, "missing_instance", "The body names no instance.")
	case name == "":
		i, err = s.gatewayOf(ctx, e.Instance, bearer(in.Authorization))
	case e.Instance != "" && e.Instance != name:
		err = fault.New(fault.Invalid, "instance_mismatch", "The body names another instance than the URL.")
	}
	return i, e, err
}

// gatewayOf returns the instance that a gateway speaks for, if its token says
// that it may. The default token makes an instance that is not known yet.
func (s *server) gatewayOf(ctx context.Context, name, token string) (db.Instance, error) {
	denied := fault.New(fault.Denied, "invalid_webhook_token", "The webhook needs the header Authorization: Bearer with this instance's token.")
	known, err := s.instances.Do(ctx, name)
	if err != nil {
		return db.Instance{}, err
	}
	if known == nil {
		if !apikey.Equal(token, s.WebhookToken) {
			return db.Instance{}, denied
		}
		if err := tasks.CheckInstance(name); err != nil {
			return db.Instance{}, fault.New(fault.Invalid, "invalid_instance", "An instance's name has 1 to 64 letters, digits, spaces or any of . _ - + @.")
		}
		return db.New(s.Pool).EnsureInstance(ctx, name)
	}
	may := apikey.Equal(token, s.WebhookToken)
	if len(known.WebhookTokenHash) > 0 { // the one before counts too; see RotateWebhookToken
		may = apikey.HashEqual(token, known.WebhookTokenHash) || apikey.HashEqual(token, known.PreviousWebhookTokenHash)
	}
	if !may {
		return db.Instance{}, denied
	}
	return *known, nil
}

// failWebhook is fail, with the 400 that a gateway expects for a bad body.
func (s *server) failWebhook(ctx context.Context, err error) error {
	err = orMissing(err, nil)
	if f := fault.Of(err); f.Kind == fault.Invalid {
		return newProblem(http.StatusBadRequest, f.Code, f.Detail)
	}
	return s.fail(ctx, "body", err)
}
