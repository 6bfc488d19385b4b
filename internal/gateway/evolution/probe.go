package evolution

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/msgorch/msgorch/internal/gateway"
)

// Probe implements gateway.Prober by asking for the state of the connection. An
// open session is no proof that sending works, but a refusal has an end by it.
func (s *Sender) Probe(ctx context.Context, at gateway.Account) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at.BaseURL+"/instance/connectionState/"+url.PathEscape(at.Instance), http.NoBody)
	if err != nil || request.URL.Host == "" || !strings.HasPrefix(request.URL.Scheme, "http") {
		return errBadURL
	}
	request.Header.Set("Apikey", at.Credential.Reveal())
	response, err := s.client.Do(request)
	if err != nil {
		return fmt.Errorf("ask the gateway: %s", causeOf(err))
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswerBytes))
	if err != nil {
		return fmt.Errorf("read the gateway's answer: %s", causeOf(err))
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the gateway answered %d", response.StatusCode)
	}
	return readState(body)
}

// readState reads {"instance":{"state":"open"}}.
func readState(body []byte) error {
	var state string
	ok := json.Valid(body)
	if ok {
		state, ok = textOf(objectOf(objectOf(body).get("instance")).get("state"))
	}
	if !ok {
		return errors.New("the gateway answered without a state")
	}
	if state != gateway.ConnectionOpen {
		return fmt.Errorf("the session is %q", firstRunes(oneLine(state), 20))
	}
	return nil
}
