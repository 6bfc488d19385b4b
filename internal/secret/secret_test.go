package secret_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/msgorch/msgorch/internal/secret"
)

func TestTextDoesNotPrintItself(t *testing.T) {
	t.Parallel()
	credential := secret.Text("hunter2")
	var out bytes.Buffer
	fmt.Fprintf(&out, "%v %+v %#v %s %q %v ", credential, credential, credential, credential, credential, struct{ T secret.Text }{credential})
	slog.New(slog.NewJSONHandler(&out, nil)).Info("key.made", "key", credential)
	slog.New(slog.NewTextHandler(&out, nil)).Info("key.made", "key", credential)
	if err := json.NewEncoder(&out).Encode(map[string]secret.Text{"key": credential}); err != nil {
		t.Fatal(err)
	}

	if strings.Contains(out.String(), "hunter2") {
		t.Errorf("printed: %s", &out)
	}
	if got := credential.Reveal(); got != "hunter2" {
		t.Errorf("Reveal = %q, want hunter2", got)
	}
}
