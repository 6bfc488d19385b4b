package console_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/msgorch/msgorch/internal/console"
	"github.com/msgorch/msgorch/internal/fault"
	"github.com/msgorch/msgorch/internal/gateway"
)

// phone is a gateway with one instance, sales.
type phone struct {
	mu    sync.Mutex
	link  gateway.Link
	err   error
	begun int
}

func (p *phone) set(l gateway.Link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.link = l
}

func (*phone) Instances(context.Context) ([]console.Instance, error) {
	return []console.Instance{{Name: "sales", Gateway: "evolution", State: "close"}, {Name: "<b>", Gateway: "cloud", State: "unknown"}}, nil
}

func (p *phone) Link(_ context.Context, instance string, begin bool) (gateway.Link, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if instance != "sales" {
		return gateway.Link{}, fault.New(fault.NotFound, "unknown_instance", "There is no instance of this name.")
	}
	if begin {
		p.begun++
		p.link = gateway.Link{State: "connecting", QR: gateway.QR{Code: "2@hunter2"}}
	}
	return p.link, p.err
}

func (p *phone) timesBegun() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.begun
}

func TestInstancesAreListed(t *testing.T) {
	t.Parallel()
	status, body := newDesk(t, "").ask(t, http.MethodGet, "/instances/", "")
	if status != http.StatusOK || !strings.Contains(body, `<a href="/instances/sales">sales</a>`) || !strings.Contains(body, "&lt;b&gt;") {
		t.Errorf("%d %s", status, body)
	}
}

func TestOnlyAButtonBeginsASession(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "")
	d.phone.set(gateway.Link{State: "close"})
	form := header("Content-Type", "application/x-www-form-urlencoded")
	for _, ask := range []struct{ method, path, body string }{{http.MethodGet, "/instances/sales?begin=1", ""}, {http.MethodPost, "/instances/sales", ""}} {
		if status, body := d.ask(t, ask.method, ask.path, ask.body, form); status != http.StatusOK || strings.Contains(body, "<img") {
			t.Errorf("%s %s: %d %s", ask.method, ask.path, status, body)
		}
	}
	status, _ := d.ask(t, http.MethodPost, "/instances/sales", "begin=1", form, header("Sec-Fetch-Site", "cross-site"))
	if status != http.StatusForbidden || d.phone.timesBegun() != 0 {
		t.Errorf("from another site: %d, begun %d times", status, d.phone.timesBegun())
	}
	status, body := d.ask(t, http.MethodPost, "/instances/sales", "begin=1", form, header("Sec-Fetch-Site", "same-origin"))
	if status != http.StatusOK || !strings.Contains(body, `<img src="data:image/png;base64,`) || d.phone.timesBegun() != 1 {
		t.Errorf("the button: %d %s", status, body)
	}
	if strings.Contains(body, "hunter2") {
		t.Error("the code stands in the page as a text")
	}
}

func TestACodeIsNeitherKeptNorLogged(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	d := newLoggedDesk(t, "", slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://127.0.0.1:3002/instances/sales", strings.NewReader("begin=1"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	if got := w.Header().Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control = %q", got)
	}
	if !strings.Contains(w.Header().Get("Content-Security-Policy"), "default-src 'none'") {
		t.Error("a page with a secret has no policy")
	}
	if strings.Contains(log.String(), "hunter2") {
		t.Errorf("logged: %s", &log)
	}
}

func TestWhatTheGatewayRefusesIsSaid(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "")
	d.phone.err = fault.New(fault.Denied, "bad_credentials", "The gateway does not accept the key.")
	if status, body := d.ask(t, http.MethodPost, "/instances/sales", ""); status != http.StatusBadGateway || !strings.Contains(body, "does not accept the key") {
		t.Errorf("%d %s", status, body)
	}
	if status, body := d.ask(t, http.MethodPost, "/instances/other", ""); status != http.StatusNotFound || !strings.Contains(body, "no instance of this name") {
		t.Errorf("%d %s", status, body)
	}
	d.phone.err = nil
	d.phone.set(gateway.Link{State: "connecting", QR: gateway.QR{Exhausted: true}})
	if _, body := d.ask(t, http.MethodPost, "/instances/sales", ""); !strings.Contains(body, "All codes went by") {
		t.Errorf("%s", body)
	}
}

func TestABrowserShowsTheCodeUntilItIsScanned(t *testing.T) {
	t.Parallel()
	path := os.Getenv("CHROMIUM")
	if path == "" {
		t.Skip("CHROMIUM names no browser")
	}
	d := newDesk(t, "")
	d.phone.set(gateway.Link{State: "close"})
	server := httptest.NewServer(d)
	t.Cleanup(server.Close)
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.WSURLReadTimeout(2*time.Minute))
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(cancel)
	ctx, cancelTab := chromedp.NewContext(ctx)
	t.Cleanup(cancelTab)
	ctx, cancelWait := context.WithTimeout(ctx, 4*time.Minute)
	t.Cleanup(cancelWait)
	if err := chromedp.Do(ctx, chromedp.Navigate(server.URL+"/instances/")); err != nil {
		t.Fatal(err)
	}
	// await waits until a page says that something is so; between two pages it
	// says nothing.
	await := func(expression string) {
		t.Helper()
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			if is, err := chromedp.Run(ctx, chromedp.Evaluate[bool](expression)); err == nil && is {
				return
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				t.Fatalf("waited and still not: %s", expression)
			}
		}
	}
	await(`document.querySelector('a[href="/instances/sales"]').click(), true`)
	await(`document.querySelector('#link').dataset.state === "close"`)
	await(`document.querySelector('button').click(), true`)
	await(`document.querySelector('#link img').naturalWidth > 100 && (window.first = document.querySelector('#link img').src, true)`)
	d.phone.set(gateway.Link{State: "connecting", QR: gateway.QR{Code: "2@another"}})
	await(`document.querySelector('#link img').src !== window.first`)
	d.phone.set(gateway.Link{State: "open"})
	await(`document.querySelector('#link strong').innerText === "Connected." && document.querySelector('form').hidden`)
	if got := d.phone.timesBegun(); got != 1 {
		t.Errorf("begun %d times, want once", got)
	}
}
