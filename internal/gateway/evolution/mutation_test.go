package evolution_test

import (
	"encoding/json"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// Whatever happens to a body on its way, it is decoded or classified.
func TestDecode_mutations(t *testing.T) {
	t.Parallel()
	swaps := []string{
		"null", "7", `"x"`, "[]", "{}", "[{}]", `[null]`, `{"0":1}`, `{"low":-1,"high":-1}`, "-1e400", `"\ud800\u0000"`, "true",
		`{"id":{}}`, `"521@s.whatsapp.net"`, strings.Repeat("[", 200) + strings.Repeat("]", 200),
	}
	random := rand.New(rand.NewPCG(1, 2)) // the same ones on each run
	for _, folder := range []string{"evolution", "hostile"} {
		for _, path := range glob(t, folder) {
			body := read(t, path)
			if len(body) > 20_000 {
				continue
			}
			for cut := 0; cut < len(body); cut += 1 + len(body)/50 {
				survives(t, body[:cut])
			}
			var tree any
			if json.Unmarshal(body, &tree) != nil {
				continue
			}
			values := count(tree)
			for range 40 {
				swap := swaps[random.IntN(len(swaps))]
				survives(t, mutate(tree, random.IntN(values), func(string) string { return swap }))
				survives(t, mutate(tree, random.IntN(values), func(value string) string { return value + `,"type":` + swap }))
				survives(t, mutate(tree, random.IntN(values), func(value string) string { return "[" + value + "," + swap + "]" }))
			}
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

// count returns how many values a tree has.
func count(tree any) int {
	n := 1
	switch tree := tree.(type) {
	case map[string]any:
		for _, value := range tree {
			n += count(value)
		}
	case []any:
		for _, value := range tree {
			n += count(value)
		}
	}
	return n
}

// mutate writes a tree as JSON in which the value of that number is changed.
func mutate(tree any, number int, change func(value string) string) []byte {
	var write func(any) string
	write = func(value any) string {
		mine := number
		number--
		var out string
		switch value := value.(type) {
		case map[string]any:
			var members []string
			for _, name := range slices.Sorted(maps.Keys(value)) {
				quoted, _ := json.Marshal(name)
				members = append(members, string(quoted)+":"+write(value[name]))
			}
			out = "{" + strings.Join(members, ",") + "}"
		case []any:
			var elements []string
			for _, element := range value {
				elements = append(elements, write(element))
			}
			out = "[" + strings.Join(elements, ",") + "]"
		default:
			scalar, _ := json.Marshal(value)
			out = string(scalar)
		}
		if mine == 0 {
			return change(out)
		}
		return out
	}
	return []byte(write(tree))
}
