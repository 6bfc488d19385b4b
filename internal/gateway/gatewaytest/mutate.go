package gatewaytest

import (
	"encoding/json"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
)

// maxMutated bounds the bodies that are mutated: larger ones only take longer.
const maxMutated = 20_000

// Mutate gives survives what may have become of a body on its way: cut off at
// fifty places, and, as often as rounds says, with a value in it replaced by one of
// swaps, followed by another member of that value, or doubled. They are the same
// ones on each run.
func Mutate(body []byte, swaps []string, rounds int, survives func([]byte)) {
	if len(body) > maxMutated {
		return
	}
	for cut := 0; cut < len(body); cut += 1 + len(body)/50 {
		survives(body[:cut])
	}
	var tree any
	if json.Unmarshal(body, &tree) != nil {
		return
	}
	random := rand.New(rand.NewPCG(1, uint64(len(body))))
	values := count(tree)
	for range rounds {
		swap := swaps[random.IntN(len(swaps))]
		survives(mutate(tree, random.IntN(values), func(string) string { return swap }))
		survives(mutate(tree, random.IntN(values), func(value string) string { return value + `,"type":` + swap }))
		survives(mutate(tree, random.IntN(values), func(value string) string { return "[" + value + "," + value + "]" }))
		survives(mutate(tree, random.IntN(values), func(value string) string { return "[" + value + "," + swap + "]" }))
	}
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

// mutate writes a tree as JSON in which the value of that number is replaced. The
// replacement may bring further members along, such as a second one of a name.
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
