package graph_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/graph"
	"github.com/msgorch/msgorch/internal/gateway/wire"
)

func TestFindKnowsAGraphError(t *testing.T) {
	t.Parallel()
	tests := map[string]*graph.Error{
		`{"message":"x","type":"OAuthException","code":190}`:                                                             {Code: 190, Words: "x"},
		`{"error":{"message":"(#100) x","fbtrace_id":"A","code":"100","error_subcode":33,"error_data":{"details":"y"}}}`: {Code: 100, Subcode: 33, Words: "(#100) x y"},
		`{"error":{"message":"(#4) x y","type":"x","code":4,"is_transient":true,"error_data":{"details":"x y"}}}`:        {Code: 4, Transient: true, Words: "(#4) x y"},
		`{"error":{"type":"x","code":0}}`: {},
		`{"error":{"type":"x"}}`:          nil,
		`{"code":502}`:                    nil, // a proxy's
		`{"error":{"code":502}}`:          nil,
		`{"Error":{"type":"x","code":1}}`: nil,
		`{"error":"x","code":1}`:          nil,
		`{}`:                              nil,
	}
	for body, want := range tests {
		if diff := cmp.Diff(want, graph.Find(wire.ObjectOf([]byte(body)))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", body, diff)
		}
	}
	if graph.Find(nil) != nil {
		t.Error("found an error in nothing")
	}
}

func TestEveryCodeHasItsMeaning(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		codes []int64
		want  string
	}{
		{"the number slows down", []int64{4, 80007, 130429}, "retry scope 2 slow true wait 0s"},
		{"the pair slows down", []int64{131056}, "retry scope 1 slow false wait 6s"},
		{"not before tomorrow", []int64{131049}, "retry scope 0 slow false wait 24h0m0s"},
		{"later", []int64{1, 2, 131000, 131016, 133004, 131057, 999999, -1, 199, 300}, "retry scope 0 slow false wait 0s"},
		{"the number stops", []int64{190, 0, 3, 10, 200, 230, 299, 368, 131031, 131042, 131045, 131048, 133010, 130497}, "pause scope 0 slow false wait 0s"},
		{"the message is lost", []int64{
			131047, 131026, 131021, 131030, 131008, 131009, 100, 33, 131051, 131052,
			132000, 132001, 132005, 132007, 132012, 132015, 132016, 131053, 130472, 131050,
		}, "permanent scope 0 slow false wait 0s"},
	}
	for _, tt := range tests {
		for _, code := range tt.codes {
			if got := meaning(graph.Error{Code: code}); got != tt.want {
				t.Errorf("%s, %d: %s, want %s", tt.name, code, got, tt.want)
			}
			if got := (graph.Error{Code: code, Transient: true}).Outcome(); got != gateway.Retry {
				t.Errorf("%d, transient: %s, want retry", code, got)
			}
		}
	}
	if got := meaning(graph.Error{Code: 100, Subcode: 33}); got != "pause scope 0 slow false wait 0s" {
		t.Errorf("a phone_number_id that does not exist: %s, want pause", got)
	}
	if got := (graph.Error{Code: 131056}).Name(); got != "graph_131056" {
		t.Errorf("name %q, want graph_131056", got)
	}
}

func meaning(e graph.Error) string {
	scope, slow := e.Scope()
	return fmt.Sprintf("%s scope %d slow %v wait %s", e.Outcome(), scope, slow, e.Wait().Round(time.Second))
}
