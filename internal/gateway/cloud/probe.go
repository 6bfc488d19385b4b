package cloud

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/wire"
)

// Probe implements gateway.Prober by asking for the number itself. That Graph
// shows it proves that the credential is good, and not that a lock or a debt has
// ended.
func (s *Sender) Probe(ctx context.Context, at gateway.Account) error {
	reply, refused := s.call(ctx, at, http.MethodGet, at.BaseURL+"/"+at.Instance+"?fields=id", "", http.NoBody)
	if refused == nil && reply.Status/100 != 2 {
		refused = judge(reply)
	}
	if refused != nil {
		return fmt.Errorf("%s: %s", refused.code, refused.reason(wire.PrivacyOf(at.Credential)))
	}
	body, err := wire.Open(reply.Body)
	if err != nil || body.Text("id") == "" {
		return errors.New("the Cloud API answered without the number's id")
	}
	return nil
}
