package cloud_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/msgorch/msgorch/internal/gateway/cloud"
	"github.com/msgorch/msgorch/internal/secret"
)

func TestVerifyAnswersWhoKnowsTheToken(t *testing.T) {
	t.Parallel()
	var recorded struct {
		Query  map[string]string
		Expect struct{ Body string }
	}
	if err := json.Unmarshal(read(t, filepath.Join(corpus, "cloudapi", "verify-get.json")), &recorded); err != nil {
		t.Fatal(err)
	}
	query := func(change map[string]string) url.Values {
		q := url.Values{}
		for name, value := range recorded.Query {
			q.Set(name, value)
		}
		for name, value := range change {
			q.Set(name, value)
		}
		return q
	}
	tests := []struct {
		name  string
		query url.Values
		token secret.Text
		want  bool
	}{
		{"as Meta asks", query(nil), "VERIFY", true},
		{"another token", query(nil), "verify", false},
		{"a longer token", query(nil), "VERIFY ", false},
		{"no token agreed", query(map[string]string{"hub.verify_token": ""}), "", false},
		{"no token given", query(map[string]string{"hub.verify_token": ""}), "VERIFY", false},
		{"another mode", query(map[string]string{"hub.mode": "unsubscribe"}), "VERIFY", false},
		{"nothing", nil, "VERIFY", false},
		{"nothing at all", nil, "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			challenge, ok := cloud.Verify(tt.query, tt.token)
			if ok != tt.want {
				t.Errorf("ok = %v, want %v", ok, tt.want)
			}
			want := ""
			if tt.want {
				want = recorded.Expect.Body
			}
			if challenge != want {
				t.Errorf("challenge = %q, want %q", challenge, want)
			}
		})
	}
}

// sign is an independent reading of Meta's description of the signature.
func sign(body []byte, key string) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

func TestSignedTakesOnlyMetasSignature(t *testing.T) {
	t.Parallel()
	body := []byte(`{"object":"whatsapp_business_account","x":"\u00e1\/"}`)
	good := sign(body, "APP")
	both := []secret.Text{"NEW", "APP"}
	tests := []struct {
		name    string
		header  string
		secrets []secret.Text
		want    bool
	}{
		{"signed", good, []secret.Text{"APP"}, true},
		{"signed with the old secret", good, both, true},
		{"signed with the new secret", sign(body, "NEW"), both, true},
		{"upper case digits", "sha256=" + strings.ToUpper(good[7:]), both, true},
		{"another secret", sign(body, "OTHER"), both, false},
		{"another body", sign([]byte("{}"), "APP"), both, false},
		{"no secrets", good, nil, false},
		{"an empty secret", sign(body, ""), []secret.Text{""}, false},
		{"an empty secret beside a good one", sign(body, ""), []secret.Text{"", "APP"}, false},
		{"a good secret beside an empty one", good, []secret.Text{"", "APP", ""}, true},
		{"missing", "", both, false},
		{"sha1 only", "sha1=" + good[7:47], both, false},
		{"no prefix", good[7:], both, false},
		{"upper case prefix", "SHA256=" + good[7:], both, false},
		{"wrong digits", "sha256=" + strings.Repeat("0", 64), both, false},
		{"no digits", "sha256=" + strings.Repeat("g", 64), both, false},
		{"short", good[:20], both, false},
		{"long", good + "00", both, false},
		{"spaces", " " + good, both, false},
		{"two headers", good + ", " + good, both, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := cloud.Signed(body, tt.header, tt.secrets...); got != tt.want {
				t.Errorf("Signed = %v, want %v", got, tt.want)
			}
		})
	}
}
