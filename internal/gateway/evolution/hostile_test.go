package evolution_test

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/evolution"
)

// fate is what becomes of a body: refused by Open, quarantined by Decode,
// stored as one message, or anything else in words.
func fate(body []byte) (string, gateway.Update) {
	var d evolution.Decoder
	e, err := d.Open(body)
	if err != nil {
		return "refused " + code(err), gateway.Update{}
	}
	u, err := d.Decode(e.Event, e.Body)
	switch {
	case err != nil:
		return "quarantined " + code(err), u
	case !u.Handled:
		return "ignored", u
	case len(u.Messages) == 1:
		return "stored " + u.Messages[0].Type, u
	}
	return "applied", u
}

// Each file of hostile/ with what must become of it, following MANIFEST.json.
func TestHostile(t *testing.T) {
	t.Parallel()
	const at = "2025-11-23T06:40:00Z"
	tests := map[string]struct {
		fate string
		at   string // of the message; "zero" if not credible, empty to not check
		text string // of the message; empty to not check
	}{
		"empty-body":            {fate: "refused malformed_json"},
		"not-json":              {fate: "refused malformed_json"},
		"trailing-garbage":      {fate: "refused malformed_json"},
		"two-documents":         {fate: "refused malformed_json"},
		"utf16":                 {fate: "refused malformed_json"},
		"top-array":             {fate: "refused malformed_json"},
		"top-string":            {fate: "refused malformed_json"},
		"top-true":              {fate: "refused malformed_json"},
		"raw-newline-in-string": {fate: "refused malformed_json"},

		"missing-event":    {fate: "refused missing_event"},
		"event-number":     {fate: "refused missing_event"},
		"event-null":       {fate: "refused missing_event"},
		"event-empty":      {fate: "refused missing_event"},
		"event-upper":      {fate: "stored text", text: "hola"},
		"event-spaces":     {fate: "quarantined unknown_event"},
		"event-path":       {fate: "quarantined unknown_event"},
		"missing-instance": {fate: "refused missing_instance"},
		"instance-array":   {fate: "refused invalid_instance"},
		"instance-empty":   {fate: "refused invalid_instance"},
		"instance-crlf":    {fate: "refused invalid_instance"},
		"instance-unicode": {fate: "refused invalid_instance"},
		"nul-in-instance":  {fate: "refused invalid_instance"},
		// Legal names; the caller finds that they are not the bound instance.
		"instance-sql":   {fate: "stored text"},
		"instance-query": {fate: "stored text"},

		"duplicate-keys-event": {fate: "applied"},
		"duplicate-keys-id":    {fate: "stored text"},
		"duplicate-case-keys":  {fate: "stored text"},
		"invalid-utf8-key":     {fate: "stored text"},
		"lone-surrogate":       {fate: "stored text", text: "a\uFFFDb"},
		"nul-in-text":          {fate: "stored text", text: "hola"},
		"apikey-present":       {fate: "stored text"},

		"missing-key":        {fate: "quarantined missing_key"},
		"missing-remotejid":  {fate: "quarantined invalid_chat"},
		"data-null":          {fate: "quarantined malformed_data"},
		"data-number":        {fate: "quarantined malformed_data"},
		"data-array-of-null": {fate: "quarantined malformed_data"},
		"data-nested-array":  {fate: "quarantined malformed_data"},

		"id-null":    {fate: "quarantined missing_message_id"},
		"id-object":  {fate: "quarantined invalid_message_id"},
		"id-long":    {fate: "quarantined invalid_message_id"},
		"id-slash":   {fate: "stored text"},
		"id-newline": {fate: "stored text"},
		"id-space":   {fate: "stored text"},

		"nul-in-jid":           {fate: "quarantined invalid_chat"},
		"jid-double-at":        {fate: "quarantined invalid_chat"},
		"jid-no-domain":        {fate: "quarantined invalid_chat"},
		"jid-fullwidth-digits": {fate: "quarantined invalid_chat"},
		"jid-path":             {fate: "quarantined invalid_chat"},
		"jid-template":         {fate: "quarantined invalid_chat"},
		"jid-long":             {fate: "quarantined invalid_chat"},
		"jid-number-type":      {fate: "quarantined invalid_chat"},
		"jid-array":            {fate: "quarantined invalid_chat"},
		"jid-zero-width":       {fate: "quarantined invalid_chat"},
		"jid-redis-key":        {fate: "quarantined invalid_chat"},
		"jid-device":           {fate: "stored text"},
		"jid-c.us":             {fate: "stored text"},
		"jid-hosted":           {fate: "stored text"},
		// An inbound message from our own number contradicts itself.
		"jid-own":        {fate: "quarantined ambiguous_direction"},
		"fromme-string":  {fate: "quarantined ambiguous_direction"},
		"fromme-null":    {fate: "quarantined ambiguous_direction"},
		"fromme-missing": {fate: "quarantined ambiguous_direction"},

		"ts-zero":           {fate: "stored text", at: "zero"},
		"ts-beyond-int64":   {fate: "stored text", at: "zero"},
		"ts-float":          {fate: "stored text", at: at},
		"ts-string-garbage": {fate: "stored text", at: "zero"},
		"ts-millis":         {fate: "stored text", at: at},
		"ts-micros":         {fate: "stored text", at: at},
		"ts-year-9999":      {fate: "stored text", at: "zero"},
		"ts-long-neg":       {fate: "stored text", at: "zero"},
		"ts-long-big":       {fate: "stored text", at: "zero"},
		"ts-long-strings":   {fate: "stored text", at: at},
		"ts-object-empty":   {fate: "stored text", at: "zero"},
		"ts-array":          {fate: "stored text", at: "zero"},
		"ts-null":           {fate: "stored text", at: "zero"},
		"ts-exponent":       {fate: "stored text", at: "zero"},
		"ts-neg-zero":       {fate: "stored text", at: "zero"},
		"number-300-digits": {fate: "stored text", at: "zero"},

		"missing-message":             {fate: "stored unknown"},
		"message-array":               {fate: "stored unknown"},
		"message-null":                {fate: "stored unknown"},
		"message-conversation-number": {fate: "stored unknown"},
		"message-conversation-null":   {fate: "stored unknown"},
		"message-two-contents":        {fate: "stored image", text: "b"},
		"message-wrapper-loop":        {fate: "stored text", text: "x"},
		"message-base64-garbage":      {fate: "stored image"},
		"message-mediaurl-ssrf":       {fate: "stored image"},
		"message-idx-sparse":          {fate: "stored image"},
		"message-location-nan-str":    {fate: "stored unknown"},
		"message-vcard-bomb":          {fate: "stored contacts"},
		"message-mimetype-crlf":       {fate: "stored document"},
		"nesting-9k":                  {fate: "quarantined content_too_large"},
		"quoted-depth-2k":             {fate: "stored text", text: "hola"},

		"status-unknown": {fate: "quarantined unknown_status"},
		"status-null":    {fate: "quarantined unknown_status"},
		// Evidence that the room must refuse, because it knows the message's row.
		"update-for-inbound-failed":    {fate: "applied"},
		"delete-foreign-instance":      {fate: "applied"},
		"connection-instance-mismatch": {fate: "applied"},
	}
	for _, path := range glob(t, "hostile") {
		name := strings.TrimSuffix(filepath.Base(path), ".json")
		want, listed := tests[name]
		if !listed {
			if name == "MANIFEST" {
				continue
			}
			if !strings.HasPrefix(name, "cloud-") {
				t.Errorf("%s: nobody says what must become of it", name)
			}
			want.fate = "refused missing_event" // another gateway's
		}
		got, u := fate(read(t, path))
		if got != want.fate {
			t.Errorf("%s: %s, want %s", name, got, want.fate)
			continue
		}
		if want.text != "" && u.Messages[0].Text != want.text {
			t.Errorf("%s: text %q, want %q", name, u.Messages[0].Text, want.text)
		}
		if want.at != "" {
			gotAt := "zero"
			if at := u.Messages[0].At; !at.IsZero() {
				gotAt = at.Format(time.RFC3339)
			}
			if gotAt != want.at {
				t.Errorf("%s: at %s, want %s", name, gotAt, want.at)
			}
		}
	}
}

func TestHostile_details(t *testing.T) {
	t.Parallel()
	hostile := func(name string) gateway.Update {
		_, u := fate(read(t, filepath.Join(corpus, "hostile", name+".json")))
		return u
	}
	for _, name := range []string{"jid-device", "jid-c.us", "jid-hosted"} {
		if got, want := hostile(name).Messages[0].Chat, "5215550001001@s.whatsapp.net"; got != want {
			t.Errorf("%s: chat %q, want %q", name, got, want)
		}
	}
	for name, want := range map[string]string{
		"id-slash": "../../3EB0", "id-newline": "3EB0\nINJECT", "id-space": " 3EB0HOSTILE ",
		"duplicate-keys-id": "3EB0HOSTILE",
	} {
		if got := hostile(name).Messages[0].ID; got != want {
			t.Errorf("%s: id %q, want %q", name, got, want)
		}
	}
	for name, want := range map[string]string{
		"message-vcard-bomb":       `{"contacts":[{"name":"x","phones":["1"]}]}`,
		"message-base64-garbage":   `{"media":{"kind":"image"}}`,
		"message-mediaurl-ssrf":    `{"media":{"kind":"image"}}`,
		"message-idx-sparse":       `{"media":{"kind":"image"}}`,
		"message-mimetype-crlf":    `{"media":{"kind":"document","mime_type":"text/plainX:y","file_name":"a"}}`,
		"message-location-nan-str": `{"raw":{"locationMessage":{"degreesLatitude":"NaN","degreesLongitude":9e+99}}}`,
		"message-array":            `{"raw":["hola"]}`,
	} {
		if got := strings.ReplaceAll(string(hostile(name).Messages[0].Content), " ", ""); got != want {
			t.Errorf("%s: content %s, want %s", name, got, want)
		}
	}
	for _, name := range []string{"message-base64-garbage", "message-mediaurl-ssrf"} {
		m := hostile(name).Messages[0]
		if diff := cmp.Diff(&gateway.Media{Kind: "image", GatewayID: m.ID}, m.Media); diff != "" {
			t.Errorf("%s: media (-want +got):\n%s", name, diff)
		}
	}
	e, err := evolution.Decoder{}.Open(read(t, filepath.Join(corpus, "hostile", "duplicate-case-keys.json")))
	if err != nil || e.Instance != "tienda-demo" {
		t.Errorf("duplicate-case-keys: instance %q, %v; want tienda-demo", e.Instance, err)
	}
	if c := hostile("duplicate-keys-event").Connection; c == nil || c.State != "close" {
		t.Errorf("duplicate-keys-event: connection %+v, want close", c)
	}
}

// The manifest and the table above must speak of the same files.
func TestHostile_manifest(t *testing.T) {
	t.Parallel()
	var manifest struct{ Cases map[string]string }
	if err := json.Unmarshal(read(t, filepath.Join(corpus, "hostile", "MANIFEST.json")), &manifest); err != nil {
		t.Fatal(err)
	}
	for name, says := range manifest.Cases {
		if strings.HasPrefix(name, "cloud-") {
			continue
		}
		got, _ := fate(read(t, filepath.Join(corpus, "hostile", name+".json")))
		for phrase, want := range map[string]string{
			"answer 400,":                          "refused",
			"answer 2xx, quarantine raw":           "quarantined",
			"answer 2xx, message row stored":       "stored",
			"normalise or quarantine":              "stored|quarantined",
			"default to inbound only when unambig": "quarantined",
		} {
			fate, _, _ := strings.Cut(got, " ")
			if strings.HasPrefix(says, phrase) && !strings.Contains(want, fate) {
				t.Errorf("%s: %s, but the manifest says %q", name, got, says)
			}
		}
	}
}
