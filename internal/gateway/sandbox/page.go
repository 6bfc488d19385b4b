package sandbox

import (
	_ "embed"
	"html"
	"net/http"
	"strings"
)

//go:embed page.html
var pageHTML string

// page explains the sandbox to a person, with commands that can be copied.
func (s *Server) page(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	base := html.EscapeString("http://" + r.Host)
	_, _ = strings.NewReplacer("{{base}}", base).WriteString(w, pageHTML)
}
