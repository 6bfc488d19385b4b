package evolution

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/wire"
)

// Probe implements gateway.Prober by asking for the state of the connection. An
// open session is no proof that sending works, but a refusal has an end by it.
func (s *Sender) Probe(ctx context.Context, at gateway.Account) error {
	request, err := wire.NewRequest(ctx, http.MethodGet, at.BaseURL+"/instance/connectionState/"+url.PathEscape(at.Instance), http.NoBody)
	if err != nil {
		return err
	}
	request.Header.Set("Apikey", at.Credential.Reveal())
	reply, lost := wire.Exchange(s.client, request)
	if lost != nil {
		return fmt.Errorf("ask the gateway: %s", lost.Cause)
	}
	if reply.Status != http.StatusOK {
		return fmt.Errorf("the gateway answered %d", reply.Status)
	}
	return readState(reply.Body)
}

// readState reads {"instance":{"state":"open"}}.
func readState(body []byte) error {
	var state string
	ok := json.Valid(body)
	if ok {
		state, ok = wire.Text(wire.ObjectOf(wire.ObjectOf(body).Get("instance")).Get("state"))
	}
	if !ok {
		return errors.New("the gateway answered without a state")
	}
	if state != gateway.ConnectionOpen {
		return fmt.Errorf("the session is %q", wire.FirstRunes(wire.OneLine(state), 20))
	}
	return nil
}
