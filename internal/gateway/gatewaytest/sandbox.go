package gatewaytest

import (
	"net/http/httptest"
	"testing"

	"github.com/msgorch/msgorch/internal/gateway/sandbox"
	"github.com/msgorch/msgorch/internal/secret"
)

// Credential is what the sandbox of StartSandbox expects of Evolution's calls.
const Credential secret.Text = "GATEWAYTEST-CREDENTIAL"

// StartSandbox serves a sandbox that posts no webhooks, and returns its address
// and what makes it go wrong. It stops with the test.
func StartSandbox(t *testing.T) (s *sandbox.Server, address string, set func(Fault)) {
	t.Helper()
	s = sandbox.New(sandbox.Options{APIKey: Credential})
	web := httptest.NewServer(s)
	t.Cleanup(web.Close)
	t.Cleanup(s.Close) // first, so that hanging answers do not hold up the listener
	return s, web.URL, func(f Fault) {
		t.Helper()
		if err := s.SetFaults(faults(f)); err != nil {
			t.Error(err)
		}
	}
}

func faults(f Fault) sandbox.Faults {
	out := sandbox.DefaultFaults()
	out.HangSeconds, out.ResetDelivers = 3600, 1
	switch f {
	case Healthy:
	case Hanging:
		out.Hang = 1
	case Resetting:
		out.Reset = 1
	case Failing:
		out.Error500 = 1
	case Limiting:
		out.TooMany = 1
	}
	return out
}
