package cloud_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/msgorch/msgorch/internal/gateway/gatewaytest"
)

// Whatever happens to a body on its way, it is decoded or classified.
func TestDecode_mutations(t *testing.T) {
	t.Parallel()
	swaps := []string{"null", "7", `"x"`, "[]", "{}", "[{}]", `[null]`, `{"id":{}}`, "-1e400", `"\ud800\u0000"`, "true"}
	for _, folder := range []string{"cloudapi", "hostile", "evolution"} {
		for _, path := range glob(t, folder) {
			gatewaytest.Mutate(read(t, path), swaps, 20, func(body []byte) { survives(t, body) })
		}
	}
}

func survives(t *testing.T, body []byte) {
	t.Helper()
	got, u := fate(body)
	if strings.HasSuffix(got, " internal") {
		t.Errorf("%s of %s", got, body)
	}
	mustBeStorable(t, u)
}

// One poisoned item, wherever it is, costs the others nothing.
func TestDecode_poison(t *testing.T) {
	t.Parallel()
	const (
		messages = `{"id":"A","from":"1001","type":"text","text":{"body":"a"}},{"id":"B","from_user_id":"MX.2","type":"image","image":{"id":"9"}}`
		echoes   = `{"id":"C","from":"15550000001","to":"1001","type":"text","text":{"body":"c"}}`
		statuses = `{"id":"D","status":"read"},{"id":"E","status":"failed"}`
		contacts = `{"wa_id":"1001","profile":{"name":"Ana"}},{"user_id":"MX.2","profile":{"name":"Beto"}}`
		history  = `{"threads":[{"id":"1001","messages":[{"id":"F","from":"1001","type":"text","text":{"body":"f"}}]}]}`
		updates  = `{"user_id":{"previous":"MX.2","current":"MX.3"}}`
	)
	body := func(poison string) string {
		return webhook(change("messages", `"contacts":[`+poison+contacts+`],"messages":[`+poison+messages+`],"statuses":[`+poison+statuses+`]`),
			poison+change("smb_message_echoes", `"message_echoes":[`+poison+echoes+`]`),
			change("history", `"history":[`+poison+history+`]`), change("user_id_update", `"user_id_update":[`+poison+updates+`]`))
	}
	want := decode(t, body(""))
	if len(want.Unusable) > 0 || len(want.Messages) != 4 || len(want.Statuses) != 2 || len(want.Contacts) != 3 {
		t.Fatalf("without poison: %+v", want)
	}
	for _, poison := range []string{
		`null,`, `7,`, `"x",`, `[],`, `{},`, `[[[]]],`, `{"id":7,"type":"text"},`, `{"id":"Z"},`, `{"id":"Z","type":"text","from":"1"},`,
		`{"id":"` + strings.Repeat("z", 129) + `","status":"read"},`, `{"field":"x"},`, `{"field":"messages","value":[]},`,
		`{"threads":7,"errors":[{"code":1,"title":"t"}]},`, `{"threads":[{"id":"7","messages":[{}]}]},`,
		strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + ",",
	} {
		got := decode(t, body(poison))
		if len(got.Unusable) == 0 {
			t.Errorf("%.80s: nobody complains", poison)
		}
		got.Unusable = nil
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%.80s changed the others (-want +got):\n%s", poison, diff)
		}
	}
}

// No complaint repeats what people wrote, or their numbers.
func TestDecode_complaintsKeepSecrets(t *testing.T) {
	t.Parallel()
	const private = `{"id":"A","from":"5215550001001","from_user_id":7,"type":"text","text":{"title":"privado"},"caption":"privado"}`
	u := decode(t, webhook(
		change("messages", `"statuses":[{"id":"S","status":"read"},{"id":"S","status":"privado"}],"messages":[`+private+`]`),
		change("history", `"history":[{"threads":[{"id":"5215550001001","messages":[`+private+`]},{"id":"privado"}]}]`),
		change("user_id_update", `"user_id_update":[{"wa_id":"5215550001001","detail":"privado"}]`),
		change("messages", `"errors":[{"code":1,"title":"about 5215550001001"},{"title":"privado"}]`),
		`{"field":"privado","value":{}}`,
	))
	if len(u.Unusable) != 8 {
		t.Errorf("%d complaints, want 8: %q", len(u.Unusable), u.Unusable)
	}
	for _, line := range u.Unusable {
		if strings.Contains(line, "privado") || strings.Contains(line, "5215550001001") || strings.ContainsAny(line, "\r\n") {
			t.Errorf("complaint %q tells too much", line)
		}
	}
}
