package console

import (
	"context"
	_ "embed"
	"encoding/base64"
	"html/template"
	"log/slog"
	"net/http"
	"time"

	"rsc.io/qr"

	"github.com/msgorch/msgorch/internal/fault"
	"github.com/msgorch/msgorch/internal/gateway"
)

//go:embed instances.html
var instancesHTML string

//go:embed link.js
var linkJS []byte

// Linker shows which instances there are, and connects them.
type Linker interface {
	// Instances returns all of them by name.
	Instances(ctx context.Context) ([]Instance, error)
	// Link asks the gateway how far an instance's session is, and begins it if it
	// is not on its way and begin says so. The error is a *fault.Error whose
	// detail is for the operator: NotFound if there is no such instance.
	Link(ctx context.Context, instance string, begin bool) (gateway.Link, error)
}

// Instance is one as the list shows it.
type Instance struct {
	Name    string
	Gateway string
	State   string // in a few words, as we heard last
}

// linkTimeout bounds what a look at the gateway may take: one that begins a
// session takes its time.
const linkTimeout = 30 * time.Second

// instancePages are the pages on which instances are connected.
type instancePages struct {
	linker Linker
	log    *slog.Logger
	html   *template.Template
}

func newInstancePages(linker Linker, log *slog.Logger) *instancePages {
	return &instancePages{linker, log, template.Must(template.New("").Parse(instancesHTML))}
}

func (p *instancePages) routes(mux *http.ServeMux) {
	mux.HandleFunc("GET /instances/{$}", p.list)
	mux.HandleFunc("GET /instances/{name}", p.show)
	mux.HandleFunc("POST /instances/{name}", p.link)
	mux.HandleFunc("GET /link.js", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
		_, _ = w.Write(linkJS) // the client may be gone
	})
}

func (p *instancePages) list(w http.ResponseWriter, r *http.Request) {
	list, err := p.linker.Instances(r.Context())
	if err != nil {
		p.log.LogAttrs(r.Context(), slog.LevelError, "instances.unlisted", slog.Any("error", err))
		http.Error(w, "The database is away.", http.StatusServiceUnavailable)
		return
	}
	p.render(w, r, http.StatusOK, "list", list)
}

// linkPage is what the page of an instance shows.
type linkPage struct {
	Name    string
	State   string       // empty: not asked yet, or the gateway did not say
	Picture template.URL // of the code; empty: there is none
	Error   string       // empty: none
	RanOut  bool
}

// show asks the gateway nothing: whatever changes something there is a POST, which
// no other site can make.
func (p *instancePages) show(w http.ResponseWriter, r *http.Request) {
	p.render(w, r, http.StatusOK, "instance", linkPage{Name: r.PathValue("name")})
}

// link looks how far the session is. The code goes to the operator and nowhere
// else: it is neither kept nor logged.
func (p *instancePages) link(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), linkTimeout)
	defer cancel()
	page := linkPage{Name: r.PathValue("name")}
	r.Body = http.MaxBytesReader(w, r.Body, maxLevelBody)
	l, err := p.linker.Link(ctx, page.Name, r.PostFormValue("begin") != "")
	if err != nil {
		f := fault.Of(err)
		p.log.LogAttrs(ctx, slog.LevelWarn, "instance.unlinked", slog.String("instance", page.Name), slog.String("code", f.Code))
		page.Error = f.Detail
		status := http.StatusBadGateway
		if f.Kind == fault.NotFound {
			status = http.StatusNotFound
		}
		p.render(w, r, status, "instance", page)
		return
	}
	page.State, page.RanOut = l.State, l.QR.Exhausted
	if l.QR.Code != "" {
		if page.Picture, err = picture(l.QR.Code.Reveal()); err != nil {
			page.Error = "The gateway gave a code that does not fit into a picture."
		}
	}
	p.render(w, r, http.StatusOK, "instance", page)
}

func picture(text string) (template.URL, error) {
	code, err := qr.Encode(text, qr.L)
	if err != nil {
		return "", err
	}
	return template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(code.PNG())), nil //nolint:gosec // of our own making
}

func (p *instancePages) render(w http.ResponseWriter, r *http.Request, status int, name string, data any) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "same-origin") // with less, a browser hides from us that a form is our own
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'self'; connect-src 'self'; "+
		"form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	w.WriteHeader(status)
	if err := p.html.ExecuteTemplate(w, name, data); err != nil { // the client may be gone
		p.log.LogAttrs(r.Context(), slog.LevelDebug, "page.unwritten", slog.Any("error", err))
	}
}
