package e2e_test

import (
	"bufio"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/internal/apikey"
	"github.com/msgorch/msgorch/internal/testenv"
)

// flush has Redis forget everything that this test told it.
func flush(tb testing.TB, url string) {
	tb.Helper()
	opt, err := redis.ParseURL(url)
	if err != nil {
		tb.Fatal(err)
	}
	rdb := redis.NewClient(opt)
	defer rdb.Close()
	if err := rdb.FlushDB(tb.Context()).Err(); err != nil {
		tb.Fatal(err)
	}
}

// metric reads one value of a process's /metrics; 0 when it is not there.
func metric(tb testing.TB, base, name string) float64 {
	tb.Helper()
	req, err := http.NewRequestWithContext(tb.Context(), http.MethodGet, base+"/metrics", http.NoBody)
	if err != nil {
		tb.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req) //nolint:forbidigo // a test's own calls
	if err != nil {
		tb.Fatal(err)
	}
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			n, err := strconv.ParseFloat(value, 64)
			if err != nil {
				tb.Fatal(err)
			}
			return n
		}
	}
	return 0
}

// makeKey makes an API key and returns its token.
func makeKey(tb testing.TB, s *system, scopes, instances []string) string {
	tb.Helper()
	_, token, err := apikey.Create(tb.Context(), db.New(testenv.PoolOn(tb, s.database)), apikey.Key{Name: "test", Scopes: scopes, Instances: instances})
	if err != nil {
		tb.Fatal(err)
	}
	return token.Reveal()
}
