package httpapi

import (
	"embed"
	"io/fs"
	"net/http"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

//go:embed docs/index.html docs/elements.min.js docs/elements.min.css
var docsFiles embed.FS

// docs serves the browsable documentation, which loads nothing from elsewhere.
func docs() http.Handler {
	files, err := fs.Sub(docsFiles, "docs")
	if err != nil {
		panic(err) // the folder is part of the program
	}
	serve := http.StripPrefix("/docs", http.FileServerFS(files))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if r.URL.Path == "/docs" { // without the slash FileServer would redirect out of its folder
			r.URL.Path = "/docs/"
		}
		serve.ServeHTTP(w, r)
	})
}

// describe returns the outside of the OpenAPI document.
func describe(version string) huma.Config {
	c := huma.DefaultConfig("MsgOrch", version)
	c.DocsPath = ""     // ours, which needs no CDN
	c.SchemasPath = ""  // /openapi.json has them
	c.CreateHooks = nil // no $schema in every answer
	c.Components.Schemas = huma.NewMapRegistry("#/components/schemas/", schemaName)
	c.Info.Description = "Every WhatsApp message, in either direction, exactly once in effect, in order per chat, " +
		"with a history and a reason for every outcome.\n\n" +
		"A 2xx means that it is committed. Errors are application/problem+json (RFC 9457) with a stable `code`."
	c.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"key":     {Type: "http", Scheme: "bearer", Description: "An API key, made with `msgorch keys create`. Its scopes are send, read and manage."},
		"webhook": {Type: "http", Scheme: "bearer", Description: "The instance's webhook token, or WEBHOOK_TOKEN."},
	}
	c.Tags = []*huma.Tag{
		{Name: "messages", Description: "Send messages and look up what became of them"},
		{Name: "instances", Description: "WhatsApp numbers behind gateways, and their conversations"},
		{Name: "webhooks", Description: "Where gateways post their events"},
		{Name: "health", Description: "For probes"},
	}
	return c
}

// schemaName keeps apart what is sent, of package tasks, and what is shown.
func schemaName(t reflect.Type, hint string) string {
	name := huma.DefaultSchemaNamer(t, hint)
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if strings.HasSuffix(t.PkgPath(), "/msgorch/tasks") {
		name += "ToSend"
	}
	return name
}

// tagOf is the part of the API that a path belongs to.
func tagOf(path string) string {
	part, _, _ := strings.Cut(strings.TrimPrefix(path, "/v1/"), "/")
	return part
}
