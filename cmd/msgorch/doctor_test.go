package main

import (
	"encoding/base64"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/msgorch/msgorch/internal/testenv"
)

type examination struct {
	Healthy  bool
	Findings []finding
}

// verdicts returns the worst that was found about each part.
func (e examination) verdicts() map[string]verdict {
	rank := map[verdict]int{verdictOK: 1, verdictWarn: 2, verdictFail: 3}
	out := map[string]verdict{}
	for _, f := range e.Findings {
		if rank[f.Verdict] > rank[out[f.Part]] {
			out[f.Part] = f.Verdict
		}
	}
	return out
}

// patient is an environment in which a program answers everywhere.
func patient(t *testing.T, status int) (environment, *httptest.Server) {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
	t.Cleanup(srv.Close)
	addr := srv.Listener.Addr().String()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	return withKey(t).and("LISTEN_PORT", port).and("WORKER_ADDR", addr).and("ALLOW_PRIVATE_TARGETS", "true").and("EVOLUTION_API_KEY", "k"), srv
}

func (e environment) examine(t *testing.T, status int, args ...string) examination {
	t.Helper()
	got := e.run(t, append([]string{"doctor", "-o", "json"}, args...)...).want(t, status)
	if got.stderr != "" {
		t.Errorf("stderr: %s", got.stderr)
	}
	return as[examination](t, got)
}

func TestDoctorFindsAHealthyInstallationHealthy(t *testing.T) {
	t.Parallel()
	env, srv := patient(t, http.StatusOK)
	env.feed(t, "hunter2", "instances", "put", "sales", "--base-url", srv.URL, "--credential-file", "-").want(t, exitOK)
	got := env.examine(t, exitOK)
	verdicts := got.verdicts()
	// The tests' own Redis keeps nothing.
	delete(verdicts, "Redis appendonly")
	delete(verdicts, "Redis maxmemory-policy")
	want := map[string]verdict{
		"environment": verdictOK, "PostgreSQL": verdictOK, "migrations": verdictOK, "credentials": verdictOK,
		"instance sales": verdictOK, "media store": verdictOK, "Redis": verdictOK, "api": verdictOK, "worker": verdictOK,
	}
	if diff := cmp.Diff(want, verdicts); diff != "" || !got.Healthy {
		t.Errorf("(-want +got):\n%s%+v", diff, got)
	}
}

func TestDoctorFindsWhatIsWrong(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		spoil func(t *testing.T, env environment, srv *httptest.Server) environment
		part  string
		want  verdict
		says  string
	}{
		"a mistake in the environment": {
			func(_ *testing.T, e environment, _ *httptest.Server) environment { return e.and("CONCURRENCY", "x") },
			"environment", verdictFail, "CONCURRENCY",
		},
		"a media store that cannot be": {
			func(_ *testing.T, e environment, _ *httptest.Server) environment {
				return e.and("MEDIA_STORE", "/dev/null/media")
			},
			"media store", verdictFail, "/dev/null/media",
		},
		"a bad level": {
			func(_ *testing.T, e environment, _ *httptest.Server) environment { return e.and("LOG_LEVEL", "loud") },
			"environment", verdictFail, "LOG_LEVEL",
		},
		"PostgreSQL away": {
			func(_ *testing.T, e environment, _ *httptest.Server) environment {
				return e.and("DATABASE_URL", "postgres://u:hunter2@127.0.0.1:1/none")
			}, "PostgreSQL", verdictFail, "refused",
		},
		"no DATABASE_URL": {
			func(_ *testing.T, e environment, _ *httptest.Server) environment { return e.and("DATABASE_URL", "") },
			"PostgreSQL", verdictFail, "not checked",
		},
		"missing migrations": {
			func(t *testing.T, e environment, _ *httptest.Server) environment {
				t.Helper()
				return e.and("DATABASE_URL", testenv.EmptyPostgres(t))
			}, "migrations", verdictFail, "migrate up",
		},
		"Redis away": {
			func(_ *testing.T, e environment, _ *httptest.Server) environment {
				return e.and("REDIS_URL", "redis://:hunter2@127.0.0.1:1")
			}, "Redis", verdictFail, "refused",
		},
		"another SECRET_KEY": {
			func(_ *testing.T, e environment, _ *httptest.Server) environment {
				return e.and("SECRET_KEY", base64.StdEncoding.EncodeToString(make([]byte, 32)))
			}, "credentials", verdictFail, "another SECRET_KEY",
		},
		"no SECRET_KEY": {
			func(_ *testing.T, e environment, _ *httptest.Server) environment { return e.and("SECRET_KEY", "") },
			"credentials", verdictFail, "not set",
		},
		"no base URL": {
			func(t *testing.T, e environment, _ *httptest.Server) environment {
				t.Helper()
				e.run(t, "instances", "put", "x").want(t, exitOK)
				return e
			}, "instance x", verdictFail, "no base URL",
		},
		"gateway away": {
			func(_ *testing.T, e environment, srv *httptest.Server) environment {
				srv.Close()
				return e
			}, "instance sales", verdictFail, "does not answer",
		},
		"gateway on a private address": {
			func(_ *testing.T, e environment, _ *httptest.Server) environment {
				return e.and("ALLOW_PRIVATE_TARGETS", "false")
			}, "instance sales", verdictFail, "ALLOW_PRIVATE_TARGETS",
		},
		"a pause": {
			func(t *testing.T, e environment, _ *httptest.Server) environment {
				t.Helper()
				e.run(t, "instances", "pause", "sales").want(t, exitOK)
				return e
			}, "instance sales", verdictWarn, "operator",
		},
		"programs away": {
			func(_ *testing.T, e environment, _ *httptest.Server) environment {
				return e.and("WORKER_ADDR", "127.0.0.1:1")
			},
			"worker", verdictWarn, "does not run",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env, srv := patient(t, http.StatusOK)
			env.feed(t, "hunter2", "instances", "put", "sales", "--base-url", srv.URL, "--credential-file", "-").want(t, exitOK)
			env = tt.spoil(t, env, srv)
			status := exitOK
			if tt.want == verdictFail {
				status = exitFailed
			}
			got := env.examine(t, status)
			if got.verdicts()[tt.part] != tt.want || got.Healthy == (tt.want == verdictFail) {
				t.Errorf("%s is %q, want %q: %+v", tt.part, got.verdicts()[tt.part], tt.want, got)
			}
			text := env.run(t, "doctor").want(t, status).stdout
			if !strings.Contains(text, tt.says) || strings.Contains(text, "hunter2") {
				t.Errorf("text lacks %q, or has a secret:\n%s", tt.says, text)
			}
		})
	}
}

func TestDoctorOfflineCallsNoGateway(t *testing.T) {
	t.Parallel()
	env, srv := patient(t, http.StatusOK)
	env.run(t, "instances", "put", "sales", "--base-url", srv.URL).want(t, exitOK)
	srv.Close()
	env.examine(t, exitOK, "--offline")
}

func TestProgramThatIsNotReadyFails(t *testing.T) {
	t.Parallel()
	env, _ := patient(t, http.StatusServiceUnavailable)
	got := env.examine(t, exitFailed).verdicts()
	if got["api"] != verdictFail || got["worker"] != verdictFail {
		t.Errorf("verdicts %v", got)
	}
}
