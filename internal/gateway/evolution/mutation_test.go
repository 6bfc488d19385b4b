package evolution_test

import (
	"strings"
	"testing"

	"github.com/msgorch/msgorch/internal/gateway/gatewaytest"
)

// Whatever happens to a body on its way, it is decoded or classified.
func TestDecode_mutations(t *testing.T) {
	t.Parallel()
	swaps := []string{
		"null", "7", `"x"`, "[]", "{}", "[{}]", `[null]`, `{"0":1}`, `{"low":-1,"high":-1}`, "-1e400", `"\ud800\u0000"`, "true",
		`{"id":{}}`, `"521@s.whatsapp.net"`, strings.Repeat("[", 200) + strings.Repeat("]", 200),
	}
	for _, folder := range []string{"evolution", "hostile"} {
		for _, path := range glob(t, folder) {
			gatewaytest.Mutate(read(t, path), swaps, 40, func(body []byte) { survives(t, body) })
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
