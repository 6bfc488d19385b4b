package sandbox_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/msgorch/msgorch/internal/gateway/sandbox"
)

type listing struct {
	Total     int
	Forgotten int
	Data      []struct {
		Seq  int64
		Text string
	}
}

func (l listing) texts() string {
	var list []string
	for _, e := range l.Data {
		list = append(list, e.Text)
	}
	return strings.Join(list, " ")
}

func TestTheLogCanBeFilteredAndPaged(t *testing.T) {
	t.Parallel()
	g := newGateway(t, sandbox.Options{})
	for n := range 6 {
		path := fmt.Sprint("/message/sendText/", []string{"sales", "other"}[n/4])
		g.call(t, http.MethodPost, path, sendBody(fmt.Sprint("521555000100", n%2), fmt.Sprint("m", n)))
	}
	tests := []struct {
		query string
		total int
		want  string
	}{
		{"", 6, "m0 m1 m2 m3 m4 m5"},
		{"?instance=sales", 4, "m0 m1 m2 m3"},
		{"?to=5215550001001", 3, "m1 m3 m5"},
		{"?to=5215550001001@s.whatsapp.net&instance=other", 1, "m5"},
		{"?since_seq=2&limit=3", 6, "m2 m3 m4"},
		{"?since_seq=5&limit=3", 6, "m5"},
		{"?limit=0", 6, ""},
		{"?instance=nobody", 0, ""},
	}
	for _, tt := range tests {
		t.Run(tt.query, func(t *testing.T) {
			t.Parallel()
			got := decode[listing](t, g.call(t, http.MethodGet, "/sandbox/sent"+tt.query, "").body)
			if got.Total != tt.total || got.texts() != tt.want {
				t.Errorf("got %d: %s, want %d: %s", got.Total, got.texts(), tt.total, tt.want)
			}
		})
	}
	bad := g.call(t, http.MethodGet, "/sandbox/sent?since_seq=x", "")
	if bad.status != http.StatusBadRequest || !strings.Contains(text(t, bad.body, "error"), "since_seq") {
		t.Errorf("got %d %s, want 400 that names since_seq", bad.status, bad.body)
	}
}

func TestAClearedLogDoesNotUseNumbersAgain(t *testing.T) {
	t.Parallel()
	g := newGateway(t, sandbox.Options{})
	g.send(t, "5215550001001", "one")
	g.call(t, http.MethodDelete, "/sandbox/sent", "")
	g.send(t, "5215550001001", "two")
	got := decode[listing](t, g.call(t, http.MethodGet, "/sandbox/sent", "").body)
	if got.Total != 1 || got.Forgotten != 0 || got.Data[0].Seq != 2 {
		t.Errorf("got %+v, want only number 2 and nothing forgotten", got)
	}
}

func TestAFullLogSaysHowMuchItForgot(t *testing.T) {
	t.Parallel()
	g := newGateway(t, sandbox.Options{MaxLog: 10})
	for n := range 25 {
		g.send(t, "5215550001001", fmt.Sprint(n))
	}
	got := decode[listing](t, g.call(t, http.MethodGet, "/sandbox/sent", "").body)
	if got.Total != 10 || got.Forgotten != 15 || got.Data[0].Seq != 16 {
		t.Errorf("got %d, forgot %d, from %d, want 10, 15, 16", got.Total, got.Forgotten, got.Data[0].Seq)
	}
}

func TestSomebodyWrites(t *testing.T) {
	t.Parallel()
	sink := newSink(t, nil)
	g := newGateway(t, sandbox.Options{WebhookURL: sink.url})
	a := g.call(t, http.MethodPost, "/sandbox/inbound",
		`{"instance":"sales","from":"5215550001001","text":"Hola","id":"3EB0IN1","timestamp":1763880000,"push_name":"Ana"}`)
	if want := `{"ids":["3EB0IN1"]}`; a.status != http.StatusAccepted || string(a.body) != want {
		t.Errorf("got %d %s, want 202 %s", a.status, a.body, want)
	}
	h := sink.take(t, 1)[0]
	if diff := cmp.Diff(shape(t, example(t, "messages.upsert.conversation")), shape(t, h.body)); diff != "" {
		t.Errorf("shape (-want +got):\n%s", diff)
	}
	if h.text(t, "data", "message", "conversation") != "Hola" || h.text(t, "data", "pushName") != "Ana" {
		t.Errorf("got %s", h.body)
	}
	got := g.Received()
	if len(got) != 1 || got[0].ID != "3EB0IN1" || got[0].From != "5215550001001@s.whatsapp.net" || got[0].Timestamp != 1763880000 {
		t.Errorf("log = %+v", got)
	}
}

func TestSomebodyWritesALot(t *testing.T) {
	t.Parallel()
	g := newGateway(t, sandbox.Options{})
	g.call(t, http.MethodPost, "/sandbox/inbound", `{"instance":"sales","from":"+52 1 555 000 1001","text":"Hola","count":3}`)
	got := decode[listing](t, g.call(t, http.MethodGet, "/sandbox/received?from=5215550001001", "").body)
	if got.Total != 3 || got.texts() != "Hola 1 Hola 2 Hola 3" {
		t.Errorf("got %d: %s", got.Total, got.texts())
	}
}

func TestABadInboundNamesItsField(t *testing.T) {
	t.Parallel()
	g := newGateway(t, sandbox.Options{})
	for body, field := range map[string]string{
		`{"from":"5215550001001","text":"x"}`:                                  "instance",
		`{"instance":"sales","text":"x"}`:                                      "from",
		`{"instance":"sales","from":"nobody","text":"x"}`:                      "from",
		`{"instance":"sales","from":"120363000000000001@g.us","text":"x"}`:     "from",
		`{"instance":"sales","from":"5215550001001"}`:                          "text",
		`{"instance":"sales","from":"5215550001001","text":7}`:                 "text",
		`{"instance":"sales","from":"5215550001001","text":"x","count":10001}`: "count",
		`{"instance":"sales","from":"1","text":"x","count":2,"id":"a"}`:        "id",
		`{"instance":"sales","from":"1","text":"x","timestamp":-1}`:            "timestamp",
		`{"instance":"sales","from":"1","text":"x","color":"red"}`:             "color",
		`[]`: "body",
		``:   "body",
	} {
		t.Run(body, func(t *testing.T) {
			t.Parallel()
			a := g.call(t, http.MethodPost, "/sandbox/inbound", body)
			if a.status != http.StatusBadRequest || !strings.HasPrefix(text(t, a.body, "error"), field+":") {
				t.Errorf("got %d %s, want 400 about %s", a.status, a.body, field)
			}
		})
	}
}

type history struct {
	Messages struct {
		Total, Pages, CurrentPage int
		Records                   []struct {
			Key     struct{ ID, RemoteJID string }
			Message struct{ Conversation string }
		}
	}
}

func TestTheHistoryFindsByTimeAndChatInPages(t *testing.T) {
	t.Parallel()
	g := newGateway(t, sandbox.Options{})
	for n := range 5 {
		g.call(t, http.MethodPost, "/sandbox/inbound", fmt.Sprintf(
			`{"instance":"sales","from":"5215550001001","text":"m%d","timestamp":%d,"id":"IN%d"}`, n, 1763880000+n, n,
		))
	}
	g.call(t, http.MethodPost, "/sandbox/inbound", `{"instance":"sales","from":"5215550001002","text":"else","timestamp":1763880002}`)
	g.call(t, http.MethodPost, "/sandbox/inbound", `{"instance":"other","from":"5215550001001","text":"other","timestamp":1763880002}`)
	g.send(t, "5215550001001", "reply")
	g.send(t, "5215550000404", "never sent")

	const ana = `"remoteJid":"5215550001001@s.whatsapp.net"`
	tests := []struct {
		name, query  string
		total, pages int
		want         string
	}{
		{"everything, newest first", `{}`, 7, 1, "reply m4 m3 else m2 m1 m0"},
		{"by chat", `{"where":{"key":{` + ana + `}}}`, 6, 1, "reply m4 m3 m2 m1 m0"},
		{"by chat, first page", `{"where":{"key":{` + ana + `}},"page":1,"offset":4}`, 6, 2, "reply m4 m3 m2"},
		{"by chat, second page", `{"where":{"key":{` + ana + `}},"page":2,"offset":4}`, 6, 2, "m1 m0"},
		{"past the end", `{"page":9,"offset":4}`, 7, 2, ""},
		{"page of any size", `{"page":1,"offset":9223372036854775807}`, 7, 1, "reply m4 m3 else m2 m1 m0"},
		{"by time", `{"where":{"messageTimestamp":{"gte":"2025-11-23T06:40:01.900Z","lte":"2025-11-23T06:40:02.000Z"}}}`, 3, 1, "else m2 m1"},
		{"half a span is none", `{"where":{"messageTimestamp":{"gte":"2025-11-23T06:40:02.000Z"}}}`, 7, 1, "reply m4 m3 else m2 m1 m0"},
		{"what we wrote", `{"where":{"key":{"fromMe":true}}}`, 1, 1, "reply"},
		{"false does not filter", `{"where":{"key":{"fromMe":false}},"offset":1}`, 7, 7, "reply"},
		{"by id", `{"where":{"key":{"id":"IN3"}}}`, 1, 1, "m3"},
		{"nothing", `{"where":{"key":{"id":"none"}}}`, 0, 0, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := g.call(t, http.MethodPost, "/chat/findMessages/sales", tt.query)
			got := decode[history](t, a.body).Messages
			var texts []string
			for _, r := range got.Records {
				texts = append(texts, r.Message.Conversation)
			}
			if got.Total != tt.total || got.Pages != tt.pages || strings.Join(texts, " ") != tt.want {
				t.Errorf("got %d in %d pages: %v, want %d in %d: %s", got.Total, got.Pages, texts, tt.total, tt.pages, tt.want)
			}
		})
	}
}
