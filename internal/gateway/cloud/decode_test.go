package cloud_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/msgorch/msgorch/internal/fault"
	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/cloud"
)

const corpus = "../testdata/corpus"

var update = flag.Bool("update", false, "write the golden files")

// The golden files were read against what the payload means, one by one. A
// difference is a change of meaning, not a formality.
func TestDecode_corpus(t *testing.T) {
	t.Parallel()
	for _, path := range glob(t, "cloudapi") {
		name := strings.TrimSuffix(filepath.Base(path), ".json")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := decodeGolden(t, read(t, path))
			file := filepath.Join("testdata", "golden", name+".json")
			if *update {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(string(read(t, file)), string(got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// decodeGolden renders what Open and Decode make of a body, leaving out what is
// empty. What is refused is told by its code.
func decodeGolden(t *testing.T, body []byte) []byte {
	t.Helper()
	var d cloud.Decoder
	golden := map[string]any{}
	e, err := d.Open(body)
	switch {
	case err != nil:
		golden["Refused"] = code(err)
	case !bytes.Equal(e.Body, body) || e.Instance != "":
		t.Error("Open has changed the body, or found an instance in it")
	default:
		golden["Event"] = e.Event
		u, err := d.Decode(e.Event, e.Body)
		if err != nil {
			golden["Quarantined"] = code(err)
			break
		}
		golden["Update"] = render(t, u)
		if ids := fileIDs(u); ids != nil { // JSON leaves them out
			golden["Files"] = ids
		}
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(golden); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func fileIDs(u gateway.Update) []string {
	var ids []string
	for _, m := range u.Messages {
		if m.Media != nil {
			ids = append(ids, m.Media.GatewayID)
		}
	}
	return ids
}

func render(t *testing.T, u gateway.Update) any {
	t.Helper()
	rendered, err := json.Marshal(u)
	if err != nil {
		t.Fatal(err)
	}
	var tree any
	if err := json.Unmarshal(rendered, &tree); err != nil {
		t.Fatal(err)
	}
	return withoutEmpty(tree, 3)
}

// withoutEmpty leaves the Go side's empty fields out, but not those of a
// message's content, which lies deeper.
func withoutEmpty(tree any, depth int) any {
	switch tree := tree.(type) {
	case map[string]any:
		for name, value := range tree {
			if value == nil || value == "" || value == false || value == "0001-01-01T00:00:00Z" {
				delete(tree, name)
			} else if depth > 0 && name != "Content" {
				tree[name] = withoutEmpty(value, depth-1)
			}
		}
	case []any:
		for i := range tree {
			tree[i] = withoutEmpty(tree[i], depth)
		}
	}
	return tree
}

func code(err error) string {
	if err == nil {
		return ""
	}
	return fault.Of(err).Code
}

func glob(tb testing.TB, folder string) []string {
	tb.Helper()
	paths, err := filepath.Glob(filepath.Join(corpus, folder, "*.json"))
	if err != nil || len(paths) == 0 {
		tb.Fatalf("no corpus in %s: %v", folder, err)
	}
	return paths
}

func read(tb testing.TB, path string) []byte {
	tb.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	return content
}
