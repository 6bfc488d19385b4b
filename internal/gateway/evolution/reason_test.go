package evolution_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/msgorch/msgorch/internal/gateway"
)

// Whatever the gateway repeats of a request, no reason carries it on.
func TestSend_reasonKeepsSecrets(t *testing.T) {
	t.Parallel()
	m := hello()
	m.Text = "La clave es \"1234\"\ny el resto, también muy privado"
	quote := func(s string) string { b, _ := json.Marshal(s); return string(b) }
	for _, echo := range []string{
		m.Text,
		quote(m.Text),
		strings.ReplaceAll(m.Text, "\n", " "),
		m.Text[:30] + "…",
		"key " + credential + " is wrong",
		"525550001404 is not a number, nor is 5215550001404@s.whatsapp.net",
	} {
		got := send(t, m, says(400, `{"status":400,"response":{"message":[[`+quote("refused: "+echo)+`]]}}`))
		for _, private := range []string{"La clave", "1234", credential, "5550001404"} {
			if strings.Contains(got.Reason, private) {
				t.Errorf("reason %q contains %q", got.Reason, private)
			}
		}
		mustBeWellFormed(t, got)
	}
	got := send(t, m, says(400, `{"response":{"message":[["instance requires property \"text\"\u0000\r\n`+strings.Repeat("é", 1000)+`"]]}}`))
	if !strings.Contains(got.Reason, `instance requires property "text" é`) {
		t.Errorf("reason %q does not quote the gateway", got.Reason)
	}
	mustBeWellFormed(t, got)
}

func mustBeWellFormed(t *testing.T, a gateway.Answer) {
	t.Helper()
	if (a.Outcome == gateway.Accepted) != (a.MessageID != "") || (a.Outcome == gateway.Accepted) != (a.Code == "") {
		t.Errorf("contradictory answer %+v", a)
	}
	if !utf8.ValidString(a.Reason) || strings.ContainsAny(a.Reason, "\x00\r\n") || utf8.RuneCountInString(a.Reason) > 300 {
		t.Errorf("reason is not one short line: %q", a.Reason)
	}
	if a.Outcome != gateway.Accepted && a.Reason == "" {
		t.Errorf("no reason: %+v", a)
	}
}
