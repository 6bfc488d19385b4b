package sandbox

import (
	"encoding/json"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// No bytes may panic the decoder, and what it takes must be usable and survive
// being shown and put again.
func FuzzDecodeFaults(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"error_500":0.05,"too_many_429":0.01}`, `{"slow":1,"slow_ms":[50,500]}`, `{"slow_ms":[1,2,3]}`,
		`{"closed_instances":["x"],"missing_instances":null}`, `{"ack_delay_ms":[600000,600000]}`, `[]`, `{"Hang":1e-320}`,
	} {
		f.Add([]byte(seed))
	}
	dice := newDice(1)
	f.Fuzz(func(t *testing.T, data []byte) {
		faults, err := decodeFaults(data)
		if err != nil {
			if !strings.Contains(err.Error(), ":") {
				t.Errorf("%q names no field", err)
			}
			return
		}
		for _, span := range [][]int{faults.SlowMS, faults.AckDelayMS, faults.ReadDelayMS, faults.WebhookReorderMS} {
			low, high := time.Duration(span[0])*time.Millisecond, time.Duration(span[1])*time.Millisecond
			if d := dice.between(span); d < low || d > high {
				t.Errorf("%v is not in %v", d, span)
			}
		}
		shown, err := json.Marshal(faults)
		if err != nil {
			t.Fatal(err)
		}
		again, err := decodeFaults(shown)
		if err != nil {
			t.Fatalf("%v in %s", err, shown)
		}
		if diff := cmp.Diff(faults, again); diff != "" {
			t.Error(diff)
		}
	})
}

// Each fault comes as often as its rate says, whatever the others are.
func TestFaultsKeepTheirRates(t *testing.T) {
	t.Parallel()
	s := &Server{dice: newDice(1)}
	f := DefaultFaults()
	f.Error500, f.TooMany, f.NoKeyID, f.Hang, f.Reset = 0.2, 0.1, 0.05, 0.1, 0.3
	const rolls = 100_000
	got := map[Outcome]float64{}
	for range rolls {
		got[s.misfortune(&f).outcome] += 1.0 / rolls
	}
	for outcome, want := range map[Outcome]float64{
		OutcomeFault500: 0.2, OutcomeFault429: 0.1, OutcomeNoKey: 0.05,
		OutcomeHang: 0.1, OutcomeReset: 0.3, OutcomeAccepted: 0.25,
	} {
		if math.Abs(got[outcome]-want) > 0.01 {
			t.Errorf("%s: %.3f, want %.3f", outcome, got[outcome], want)
		}
	}
}

func TestNumbersBecomeAddresses(t *testing.T) {
	t.Parallel()
	for number, want := range map[string]string{
		"5215550001001":                "5215550001001@s.whatsapp.net",
		"+52 (1) 555-000-1001":         "5215550001001@s.whatsapp.net",
		"5215550001001@s.whatsapp.net": "5215550001001@s.whatsapp.net",
		"900000000001001@lid":          "900000000001001@lid",
		"120363000000000001":           "120363000000000001@g.us",
		"120363000000000001@g.us":      "120363000000000001@g.us",
		"":                             "",
		"nobody":                       "@s.whatsapp.net",
	} {
		if got := jidOf(number); got != want {
			t.Errorf("%q: %q, want %q", number, got, want)
		}
	}
}

// discard is a ResponseWriter that costs nothing.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}

// BenchmarkSend is the sandbox as a sink of load: no webhook, no faults.
func BenchmarkSend(b *testing.B) {
	s := New(Options{})
	defer s.Close()
	const body = `{"number":"5215550001001","text":"Hola, your order 1042 is on its way."}`
	ctx := b.Context()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/message/sendText/sales", strings.NewReader(body))
			s.ServeHTTP(discard{http.Header{}}, r)
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "sends/s")
}
