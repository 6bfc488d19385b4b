package sandbox_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	wall "github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/sandbox"
)

func TestGraphRefusesWhatIsWrong(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		faults  string
		number  func(*sandbox.CloudNumber)
		account func(*wall.Account)
		to      string
		want    string // outcome and code
		log     sandbox.Outcome
	}{
		"a credential that nobody has": {
			account: func(a *wall.Account) { a.Credential = "OTHER" },
			want:    "pause graph_190", log: sandbox.OutcomeUnauthorized,
		},
		"a credential that has expired": {
			faults: `{"unauthorized_instances":["sales"]}`, want: "pause graph_190", log: sandbox.OutcomeUnauthorized,
		},
		"an unknown number of ours": {
			account: func(a *wall.Account) { a.Instance = "999" },
			want:    "pause graph_100", log: sandbox.OutcomeMissing,
		},
		"another number's credential": {
			account: func(a *wall.Account) { a.Instance = sandbox.DemoNumber },
			want:    "pause graph_100", log: sandbox.OutcomeMissing,
		},
		"a number that is missing": {
			faults: `{"missing_instances":["sales"]}`, want: "pause graph_100", log: sandbox.OutcomeMissing,
		},
		"a number that is not registered": {
			faults: `{"closed_instances":["sales"]}`, want: "pause graph_133010", log: sandbox.OutcomeClosed,
		},
		"no version": {
			account: func(a *wall.Account) { a.BaseURL = strings.Replace(a.BaseURL, "v23.0", "latest", 1) },
			want:    "pause graph_2500", log: sandbox.OutcomeMissing,
		},
		"nobody there": {to: "5215550000404@s.whatsapp.net", want: "permanent graph_131026", log: sandbox.OutcomeNotOnWhatsApp},
		"ourselves":    {to: "15550000001@s.whatsapp.net", want: "permanent graph_131021", log: sandbox.OutcomeInvalid},
		"outside the service window": {
			number: func(n *sandbox.CloudNumber) { n.ServiceWindow = true },
			want:   "permanent graph_131047", log: sandbox.OutcomeInvalid,
		},
		"too many by the dice": {faults: `{"too_many_429":1}`, want: "retry graph_130429 instance slow", log: sandbox.OutcomeFault429},
		"failing":              {faults: `{"error_500":1}`, want: "retry graph_131000", log: sandbox.OutcomeFault500},
		"away":                 {faults: `{"error_500":1,"graph_errors":[131016]}`, want: "retry graph_131016", log: sandbox.OutcomeFault500},
		"a proxy's page":       {faults: `{"error_500":1,"graph_errors":[0],"reset_delivers":0}`, want: "in_doubt gateway_error", log: sandbox.OutcomeFault500},
		"reset":                {faults: `{"reset":1,"reset_delivers":0}`, want: "in_doubt connection_lost", log: sandbox.OutcomeReset},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGraph(t, tt.number)
			g.fault(t, or(tt.faults, "{}"))
			if tt.account != nil {
				tt.account(&g.account)
			}
			got := g.text(t, or(tt.to, ana))
			if diff := cmp.Diff(tt.want, told(got)); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
			if log := g.Sent(); len(log) != 1 || log[0].Outcome != tt.log || log[0].Delivered || log[0].ID != nil {
				t.Errorf("log = %+v, want one undelivered %s", log, tt.log)
			}
		})
	}
}

// told says an answer in short.
func told(a wall.Answer) string {
	s := a.Outcome.String() + " " + a.Code
	if a.Scope == wall.ScopeInstance {
		s += " instance"
	}
	if a.Scope == wall.ScopeChat {
		s += " chat"
	}
	if a.Slow {
		s += " slow"
	}
	return s
}

func TestAMessageCanGoOutWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	for faults, outcome := range map[string]sandbox.Outcome{
		`{"no_key_id":1}`:                                       sandbox.OutcomeNoKey,
		`{"reset":1,"reset_delivers":1}`:                        sandbox.OutcomeReset,
		`{"error_500":1,"graph_errors":[0],"reset_delivers":1}`: sandbox.OutcomeFault500,
	} {
		g := newGraph(t, nil)
		g.fault(t, faults)
		if a := g.text(t, ana); a.Outcome != wall.InDoubt {
			t.Errorf("%s: %+v, want in doubt", faults, a)
		}
		if log := g.Sent(); len(log) != 1 || log[0].Outcome != outcome || !log[0].Delivered || log[0].ID == nil {
			t.Errorf("%s: log = %+v, want one delivered %s", faults, log, outcome)
		}
	}
}

func TestAHangOnGraphEndsWithTheClientsPatience(t *testing.T) {
	t.Parallel()
	g := newGraph(t, nil)
	g.fault(t, `{"hang":1,"hang_seconds":3600,"reset_delivers":0}`)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	a := g.Send(ctx, g.account, wall.Outgoing{To: ana, Type: wall.TypeText, Text: "hola"})
	if diff := cmp.Diff("in_doubt timeout", told(a)); diff != "" {
		t.Error(diff)
	}
}

func TestANumberHasItsOwnLimit(t *testing.T) {
	t.Parallel()
	g := newGraph(t, func(n *sandbox.CloudNumber) { n.MessagesPerSecond = 1 })
	first, second := g.text(t, ana), g.text(t, ana)
	if first.Outcome != wall.Accepted || told(second) != "retry graph_130429 instance slow" {
		t.Errorf("%+v, then %+v", first, second)
	}
}

// The clock stands still in here, so a request is handed over directly.
func TestAPairOfNumbersHasItsLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := sandbox.New(sandbox.Options{})
		defer s.Close()
		if err := s.RegisterNumber(t.Context(), sandbox.CloudNumber{PhoneNumberID: numberID, PairBurst: 2}); err != nil {
			t.Fatal(err)
		}
		statuses := func(n int) (list []int) {
			for range n {
				list = append(list, graphCall(t, s, goodText))
			}
			return list
		}
		got := [][]int{statuses(3)}
		pass(6 * time.Second)
		got = append(got, statuses(2))
		if diff := cmp.Diff([][]int{{200, 200, 400}, {200, 400}}, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if log := s.Sent(); log[2].Outcome != sandbox.OutcomeLimited || log[2].Cloud.ErrorCode != 131056 {
			t.Errorf("log = %+v", log[2])
		}
	})
}

func TestTheServiceWindowOpensWhenSomebodyWritesAndClosesADayLater(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := sandbox.New(sandbox.Options{})
		defer s.Close()
		if err := s.RegisterNumber(t.Context(), sandbox.CloudNumber{PhoneNumberID: numberID, ServiceWindow: true}); err != nil {
			t.Fatal(err)
		}
		const template = `{"messaging_product":"whatsapp","to":"5215550001001","type":"template","template":{"name":"x","language":{"code":"es"}}}`
		got := []int{graphCall(t, s, goodText), graphCall(t, s, template)}
		if _, err := s.ReceiveOnCloud(inbound(`{"type":"text","text":{"body":"hola"}}`)); err != nil {
			t.Fatal(err)
		}
		got = append(got, graphCall(t, s, goodText))
		pass(24 * time.Hour)
		got = append(got, graphCall(t, s, goodText))
		if diff := cmp.Diff([]int{400, 200, 200, 400}, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestWhatGraphsSchemaRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]int{
		`{`: 100,
		`{"to":"5215550001001","text":{"body":"x"}}`:                                          100, // no product
		`{"to":5215550001001}`:                                                                100,
		`{"text":{"body":"x"}}`:                                                               100,
		`{"to":"nobody","text":{"body":"x"}}`:                                                 131009,
		`{"to":"1","type":"text"}`:                                                            131008,
		`{"to":"1","type":"poll"}`:                                                            100,
		`{"to":"1","context":{},"text":{"body":"x"}}`:                                         131008,
		`{"to":"1","type":"image"}`:                                                           131008,
		`{"to":"1","type":"image","image":{}}`:                                                131009,
		`{"to":"1","type":"image","image":{"id":"1"}}`:                                        131009,
		`{"to":"1","type":"image","image":{"link":"x"}}`:                                      131009,
		`{"to":"1","type":"audio","audio":{"link":"http://x","caption":"x"}}`:                 131009,
		`{"to":"1","type":"location","location":{"latitude":91,"longitude":0}}`:               131009,
		`{"to":"1","type":"contacts","contacts":[{}]}`:                                        131008,
		`{"to":"1","type":"reaction","reaction":{}}`:                                          131008,
		`{"to":"1","type":"template","template":{"name":"x"}}`:                                131008,
		`{"to":"1","type":"interactive","interactive":{"type":"button"}}`:                     131008,
		`{"to":"1","type":"interactive","interactive":{"type":"button","body":{"text":"x"}}}`: 131009,
		`{"to":"1","type":"interactive","interactive":{"type":"list","body":{"text":"x"},"action":{"button":"x"}}}`: 131009,
		`{"to":"1","text":{"body":"` + strings.Repeat("x", 4097) + `"}}`:                                            100,
		`{"to":"1","text":{"body":"x"},"biz_opaque_callback_data":"` + strings.Repeat("x", 513) + `"}`:              100,
		`{"to":"1","status":"seen","message_id":"wamid.1"}`:                                                         100,
		`{"status":"read"}`: 100,
	}
	g := newGraph(t, nil)
	for body, want := range tests {
		if !strings.HasPrefix(body, `{"to":"5215550001001"`) {
			body = strings.Replace(body, "{", `{"messaging_product":"whatsapp",`, 1)
		}
		got := g.post(t, "/"+numberID+"/messages", body)
		if got.status != 400 || !strings.Contains(string(got.body), fmt.Sprintf(`"code":%d,`, want)) {
			t.Errorf("%.80s: %d %s, want 400 with %d", body, got.status, got.body, want)
		}
	}
}

// Graph quotes what it refuses, and nobody else may.
func TestWhatGraphQuotesIsNotHandedOn(t *testing.T) {
	t.Parallel()
	g := newGraph(t, nil)
	said := strings.Repeat("secreto ", 600)
	a := g.Send(t.Context(), g.account, wall.Outgoing{To: ana, Type: wall.TypeText, Text: said})
	if a.Outcome != wall.Permanent || a.Code != "graph_100" || strings.Contains(a.Reason, "secreto") {
		t.Errorf("%+v, want permanent without the text", a)
	}
}

func TestAProbeAsksForTheNumber(t *testing.T) {
	t.Parallel()
	g := newGraph(t, nil)
	if err := g.Probe(t.Context(), g.account); err != nil {
		t.Error(err)
	}
	g.account.Credential = "OTHER"
	if err := g.Probe(t.Context(), g.account); err == nil {
		t.Error("a probe with another credential is well")
	}
}

func TestAMarkIsNoMessage(t *testing.T) {
	t.Parallel()
	g := newGraph(t, nil)
	if read, err := g.ShowTyping(t.Context(), g.account, wall.Typing{State: wall.TypingComposing, LastHeard: "wamid.IN"}); err != nil || !read {
		t.Fatalf("read %v, %v", read, err)
	}
	marks := g.CloudMarks()
	if len(marks) != 1 || marks[0].MessageID != "wamid.IN" || !marks[0].Typing || marks[0].PhoneNumberID != numberID || len(g.Sent()) != 0 {
		t.Errorf("marks %+v, log %+v", marks, g.Sent())
	}
}

func TestAFileThatSomebodySendsCanBeFetched(t *testing.T) {
	t.Parallel()
	sink := newSink(t, nil)
	g := newGraph(t, to(sink))
	in := inbound(`{"type":"image","image":{"caption":"foto"}}`)
	in.File = &sandbox.CloudUpload{MIMEType: "image/jpeg", Content: []byte("bytes")}
	if _, err := g.ReceiveOnCloud(in); err != nil {
		t.Fatal(err)
	}
	m := updates(t, sink, 1).Messages[0]
	if m.Media == nil || m.Media.MIMEType != "image/jpeg" || m.Text != "foto" {
		t.Fatalf("message = %+v", m)
	}

	file, contentType, size, err := g.OpenMedia(t.Context(), g.account, m.Media.GatewayID)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	content, err := io.ReadAll(file)
	if err != nil || !bytes.Equal(content, in.File.Content) || contentType != "image/jpeg" || size != 5 {
		t.Errorf("%q of %d as %q, %v", content, size, contentType, err)
	}
	if _, _, _, err := g.OpenMedia(t.Context(), g.account, "1"); err == nil {
		t.Error("there is a file that nobody sent")
	}
}
