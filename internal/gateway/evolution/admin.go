package evolution

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"

	"github.com/msgorch/msgorch/internal/fault"
	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/wire"
	"github.com/msgorch/msgorch/internal/secret"
)

// Admin sets instances up at an Evolution API server. It may be used
// concurrently. Its errors are *fault.Error with a code: bad_credentials,
// instance_not_found, name_in_use, license_required, gateway_redirect,
// invalid_request, connect_failed, timeout or gateway_error. They carry no
// secret and none of the gateway's words.
type Admin struct {
	client *http.Client
}

// NewAdmin returns an Admin that uses a copy of client; nil means the defaults
// of net/http. How long a call may take is its context's business.
func NewAdmin(client *http.Client) *Admin {
	return &Admin{client: wire.WithoutRedirects(client)}
}

// Version returns what the server calls its version, such as 2.3.6; empty if it
// does not say. It needs no credential.
func (a *Admin) Version(ctx context.Context, at gateway.Account) (string, error) {
	body, err := a.call(ctx, at, http.MethodGet, "/", nil)
	if err != nil {
		return "", err
	}
	return readVersion(body), nil
}

// Find returns what the server tells of an instance; nil if there is none of
// exactly that name, or none that the credential may see.
func (a *Admin) Find(ctx context.Context, at gateway.Account) (*Instance, error) {
	body, err := a.call(ctx, at, http.MethodGet, "/instance/fetchInstances?instanceName="+url.QueryEscape(at.Instance), nil)
	if err != nil {
		if fault.Of(err).Code == codeUnknownInstance {
			return nil, nil //nolint:nilnil // there is none, which is what was asked
		}
		return nil, err
	}
	return readInstance(body, at.Instance), nil
}

// Create makes an instance that speaks WhatsApp Web and is not connected yet. It
// fails with name_in_use if there is one of that name.
func (a *Admin) Create(ctx context.Context, at gateway.Account) (token secret.Text, err error) {
	body, err := a.call(ctx, at, http.MethodPost, "/instance/create", map[string]any{
		"instanceName": at.Instance, "integration": Baileys, "qrcode": false, // the session begins once there is a webhook to hear of it
	})
	if err != nil {
		return "", err
	}
	return readNewToken(body), nil
}

// Webhook returns where the server reports what happens to an instance; the zero
// Webhook if nowhere.
func (a *Admin) Webhook(ctx context.Context, at gateway.Account) (Webhook, error) {
	body, err := a.call(ctx, at, http.MethodGet, "/webhook/find/"+url.PathEscape(at.Instance), nil)
	if err != nil {
		return Webhook{}, err
	}
	return readWebhook(body), nil
}

// SetWebhook replaces an instance's webhook.
func (a *Admin) SetWebhook(ctx context.Context, at gateway.Account, w Webhook) error {
	headers := make(map[string]string, len(w.Headers))
	for name, value := range w.Headers {
		headers[name] = value.Reveal()
	}
	_, err := a.call(ctx, at, http.MethodPost, "/webhook/set/"+url.PathEscape(at.Instance), map[string]any{
		"webhook": map[string]any{
			"enabled": w.Enabled, "url": w.URL, "headers": headers, "byEvents": w.ByEvents, "base64": w.Base64, "events": w.Events,
		},
	})
	return err
}

// Settings returns how an instance behaves.
func (a *Admin) Settings(ctx context.Context, at gateway.Account) (Settings, error) {
	body, err := a.call(ctx, at, http.MethodGet, "/settings/find/"+url.PathEscape(at.Instance), nil)
	if err != nil {
		return Settings{}, err
	}
	return readSettings(wire.ObjectOf(body)), nil
}

// State returns the state of an instance's session; empty if the server does not
// say.
func (a *Admin) State(ctx context.Context, at gateway.Account) (string, error) {
	body, err := a.call(ctx, at, http.MethodGet, "/instance/connectionState/"+url.PathEscape(at.Instance), nil)
	if err != nil {
		return "", err
	}
	return stateIn(wire.ObjectOf(body)), nil
}

// Link begins an instance's session if it has none, and returns what is to be
// scanned, or typed if number, in digits, is not empty. Of a session that is open
// it returns the state alone, and it changes nothing of it. The server takes a
// number only when the session begins.
func (a *Admin) Link(ctx context.Context, at gateway.Account, number string) (gateway.Link, error) {
	path := "/instance/connect/" + url.PathEscape(at.Instance)
	if number != "" {
		path += "?number=" + url.QueryEscape(number)
	}
	body, err := a.call(ctx, at, http.MethodGet, path, nil)
	if err != nil {
		return gateway.Link{}, err
	}
	return readLink(body)
}

// call makes a call and returns the JSON of its answer.
func (a *Admin) call(ctx context.Context, at gateway.Account, method, path string, body any) ([]byte, error) {
	if !wire.IsHeaderSafe(at.Credential) {
		return nil, failing("bad_credentials")
	}
	var content io.Reader = http.NoBody
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(encoded)
	}
	request, err := wire.NewRequest(ctx, method, at.BaseURL+path, content)
	if err != nil {
		return nil, failing("invalid_base_url")
	}
	request.Header.Set("Apikey", at.Credential.Reveal())
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	came, lost := wire.Exchange(a.client, request)
	if lost != nil {
		return nil, failing(lost.Code).Because(&unreached{lost.Cause})
	}
	return came.Body, judge(came.Status, came.Body, path)
}

// unreached is what a call failed of.
type unreached struct{ cause string }

// Error implements error.
func (u *unreached) Error() string { return u.cause }

const codeUnknownInstance = "instance_not_found"

// judge says what is wrong with an answer; nil if nothing.
func judge(status int, body []byte, path string) error {
	r := reply{status: status}
	if json.Valid(body) {
		r.body = wire.ObjectOf(body)
	}
	switch {
	case status/100 == 2 && json.Valid(body):
		return nil
	case status/100 == 3:
		return failing("gateway_redirect")
	case r.body.Text("code") == "LICENSE_REQUIRED":
		return failing("license_required")
	case status == http.StatusForbidden && path == "/instance/create" && r.body != nil:
		return failing("name_in_use")
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return failing("bad_credentials")
	case status == http.StatusNotFound && r.body != nil:
		return failing(codeUnknownInstance)
	case status == http.StatusBadRequest:
		return failing("invalid_request")
	}
	return failing("gateway_error")
}

// failing classifies what a call of Admin failed of.
func failing(code string) *fault.Error {
	switch code {
	case "bad_credentials":
		return fault.New(fault.Denied, code, "The gateway does not accept the key.")
	case codeUnknownInstance:
		return fault.New(fault.NotFound, code, "The gateway does not know the instance, or there is no Evolution API at this address.")
	case "name_in_use":
		return fault.New(fault.Conflict, code, "The gateway has an instance of this name already.")
	case "license_required":
		return fault.New(fault.Forbidden, code, "This Evolution API has no licence yet: activate it in its manager, then try again.")
	case "gateway_redirect", "invalid_base_url":
		return fault.New(fault.Invalid, code, explain(code))
	case "invalid_request":
		return fault.New(fault.Invalid, code, "The gateway refuses the call as invalid; is it Evolution API 2?")
	case "connect_failed":
		return fault.New(fault.Unavailable, code, "The gateway cannot be reached.")
	case "timeout", "connection_lost":
		return fault.New(fault.Unavailable, code, explain(code))
	}
	return fault.New(fault.Unavailable, "gateway_error", "The gateway failed, or something else answers at its address.")
}
