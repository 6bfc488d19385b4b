package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/msgorch/msgorch/internal/history"
	"github.com/msgorch/msgorch/internal/testenv"
)

func TestListShowsNewestFirstInOneLineEach(t *testing.T) {
	t.Parallel()
	env := withInstance(t)
	env.send(t, "uno")
	env.send(t, "dos\n\x1b[31mtres")

	lines := strings.Split(strings.TrimSpace(env.run(t, "messages", "list").want(t, exitOK).stdout), "\n")
	if len(lines) != 3 {
		t.Fatalf("want a header and two lines:\n%s", strings.Join(lines, "\n"))
	}
	want := []string{"→", "sales", "5215550000001@s.whatsapp.net", "queued", "dos", "[31mtres"}
	if diff := cmp.Diff(want, strings.Fields(lines[1])[2:]); diff != "" {
		t.Errorf("newest (-want +got):\n%s", diff)
	}
	if !strings.HasSuffix(lines[2], "uno") {
		t.Errorf("oldest: %s", lines[2])
	}
}

func TestListFilters(t *testing.T) {
	t.Parallel()
	env := withInstance(t)
	env.send(t, "primera")
	second := env.send(t, "segunda")
	env.reach(t, second.ID.String(), "failed", "number_not_on_whatsapp")
	tests := map[string]struct {
		args []string
		want int
	}{
		"everything":     {nil, 2},
		"instance":       {[]string{"--instance", "sales"}, 2},
		"chat":           {[]string{"--chat", "+52 1 555 000 0001"}, 2},
		"another chat":   {[]string{"--chat", "+5215550000002"}, 0},
		"words":          {[]string{"--q", "segun"}, 1},
		"status":         {[]string{"--status", "failed"}, 1},
		"inbound":        {[]string{"--direction", "inbound"}, 0},
		"since":          {[]string{"--since", "1h"}, 2},
		"until":          {[]string{"--until", "1h"}, 0},
		"limit":          {[]string{"--limit", "1"}, 1},
		"since in words": {[]string{"--since", "2020-01-01T00:00:00Z"}, 2},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := as[page[history.Message]](t, env.run(t, append([]string{"messages", "list", "-o", "json"}, tt.args...)...).want(t, exitOK))
			if len(got.Data) != tt.want || got.Data == nil {
				t.Errorf("%d messages, want %d", len(got.Data), tt.want)
			}
		})
	}
	env.run(t, "messages", "list", "--instance", "typo").want(t, exitFailed)
	env.run(t, "messages", "list", "--limit", "9999").want(t, exitFailed)
}

func TestPagesFollowEachOther(t *testing.T) {
	t.Parallel()
	env := withInstance(t)
	env.send(t, "uno")
	env.send(t, "dos")
	first := as[page[history.Message]](t, env.run(t, "messages", "list", "--limit", "1", "-o", "json"))
	if first.NextCursor == nil {
		t.Fatal("no cursor")
	}
	second := as[page[history.Message]](t, env.run(t, "messages", "list", "--cursor", *first.NextCursor, "-o", "json").want(t, exitOK))
	if len(second.Data) != 1 || *second.Data[0].Text != "uno" || second.NextCursor != nil {
		t.Errorf("second page %+v", second)
	}
	if text := env.run(t, "messages", "list", "--limit", "1").stdout; !strings.Contains(text, "more: --cursor "+*first.NextCursor) {
		t.Errorf("the next page is not offered:\n%s", text)
	}
}

func TestShowTellsHistoryAndAttempts(t *testing.T) {
	t.Parallel()
	env := withInstance(t)
	id := env.send(t, "uno\ndos").ID.String()
	_, err := testenv.PoolOn(t, env["DATABASE_URL"]).Exec(t.Context(),
		`INSERT INTO attempts VALUES ($1, 1, now(), 1234, 'retry', 500, 'gateway_down', 'The gateway is down.')`, id)
	if err != nil {
		t.Fatal(err)
	}
	got := env.run(t, "messages", "show", id).want(t, exitOK).stdout
	for _, want := range []string{"\n  uno\n  dos\n", "  queued\n", "1.234s", "500", "gateway_down: The gateway is down."} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing:\n%s", want, got)
		}
	}
	detail := as[history.Detail](t, env.run(t, "messages", "show", id, "-o", "json").want(t, exitOK))
	if len(detail.Attempts) != 1 || len(detail.History) != 1 {
		t.Errorf("detail %+v", detail)
	}
	env.run(t, "messages", "show", "0199a1b2-0000-7000-8000-000000000000").want(t, exitFailed)
}
