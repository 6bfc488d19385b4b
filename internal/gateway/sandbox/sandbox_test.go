package sandbox_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/msgorch/msgorch/internal/gateway/sandbox"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// gateway is a sandbox behind a real listener.
type gateway struct {
	*sandbox.Server
	url    string
	client *http.Client
}

func newGateway(t *testing.T, o sandbox.Options) *gateway {
	t.Helper()
	o.WebhookFirst = cmp.Or(o.WebhookFirst, time.Minute) // a slow machine is no slow receiver
	s := sandbox.New(o)
	web := httptest.NewServer(s)
	t.Cleanup(web.Close)
	t.Cleanup(s.Close) // first, so that hanging answers do not hold up the listener
	return &gateway{Server: s, url: web.URL, client: web.Client()}
}

// answer is an HTTP answer that has been read.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// call makes a request and fails the test when there is no answer.
func (g *gateway) call(t *testing.T, method, path, body string) answer {
	t.Helper()
	a, err := g.try(t, method, path, body)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (g *gateway) try(t *testing.T, method, path, body string) (answer, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, g.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("apikey", "k")
	resp, err := g.client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, data}, err
}

func (g *gateway) send(t *testing.T, number, text string) answer {
	t.Helper()
	return g.call(t, http.MethodPost, "/message/sendText/sales", sendBody(number, text))
}

func sendBody(number, text string) string {
	body, _ := json.Marshal(map[string]string{"number": number, "text": text})
	return string(body)
}

func (g *gateway) fault(t *testing.T, faults string) {
	t.Helper()
	if a := g.call(t, http.MethodPut, "/sandbox/faults", faults); a.status != http.StatusOK {
		t.Fatalf("PUT /sandbox/faults %s: %d %s", faults, a.status, a.body)
	}
}

// webhook is one that arrived.
type webhook struct {
	path   string
	header http.Header
	body   []byte
	status int // it was answered with
}

func (h webhook) text(t *testing.T, path ...string) string {
	t.Helper()
	return text(t, h.body, path...)
}

// sink is a receiver of webhooks that tells of each one.
type sink struct {
	url string
	got chan webhook
}

// newSink answers with what react says; 200 if it is nil.
func newSink(t *testing.T, react func() int) *sink {
	t.Helper()
	s := &sink{got: make(chan webhook, 10_000)}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		status := http.StatusOK
		if react != nil {
			status = react()
		}
		s.got <- webhook{r.URL.EscapedPath(), r.Header.Clone(), body, status}
		w.WriteHeader(status)
	}))
	t.Cleanup(web.Close)
	s.url = web.URL
	return s
}

// take returns the next n webhooks.
func (s *sink) take(t *testing.T, n int) []webhook {
	t.Helper()
	var list []webhook
	for range n {
		select {
		case h := <-s.got:
			list = append(list, h)
		case <-t.Context().Done():
			t.Fatalf("got %d webhooks, want %d", len(list), n)
		}
	}
	return list
}

// decode reads JSON into v.
func decode[T any](t *testing.T, data []byte) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatalf("%v in %s", err, data)
	}
	return v
}

// text returns the string at a path of a JSON object; empty if there is none.
func text(t *testing.T, data []byte, path ...string) string {
	t.Helper()
	v := any(decode[map[string]any](t, data))
	for _, key := range path {
		object, _ := v.(map[string]any)
		v = object[key]
	}
	s, _ := v.(string)
	return s
}

// example returns a payload captured in the shape of a real gateway's.
func example(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "testdata", "corpus", "evolution", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// exampleAnswer returns a captured HTTP answer.
func exampleAnswer(t *testing.T, name string) (status int, body []byte) {
	t.Helper()
	a := decode[struct {
		Status int
		Body   json.RawMessage
	}](t, example(t, "http/"+name))
	return a.Status, a.Body
}

// shape replaces every value of a JSON document by its type. Objects that are
// byte strings, from index to number, have the same shape whatever their
// length.
func shape(t *testing.T, data []byte) any {
	t.Helper()
	return shapeOf(decode[any](t, data))
}

func shapeOf(v any) any {
	switch v := v.(type) {
	case map[string]any:
		if _, isBytes := v["0"]; isBytes {
			return "bytes"
		}
		shapes := map[string]any{}
		for key, value := range v {
			shapes[key] = shapeOf(value)
		}
		return shapes
	case []any:
		shapes := []any{}
		for _, value := range v {
			shapes = append(shapes, shapeOf(value))
		}
		return shapes
	case string:
		return "string"
	case float64:
		return "number"
	case bool:
		return "bool"
	}
	return nil
}

func compact(t *testing.T, data []byte) string {
	t.Helper()
	var out bytes.Buffer
	if err := json.Compact(&out, data); err != nil {
		t.Fatal(err)
	}
	return out.String()
}
