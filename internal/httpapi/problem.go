package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"

	"github.com/msgorch/msgorch/internal/fault"
)

// problem is an error as RFC 9457 has it, with a stable code. It never holds
// what the caller sent, nor a cause of ours.
type problem struct {
	Type   string       `json:"type" doc:"urn:msgorch:problem: and the code"`
	Title  string       `json:"title" doc:"The HTTP status in words"`
	Status int          `json:"status"`
	Code   string       `json:"code" doc:"Stable and machine-readable" example:"unknown_instance"`
	Detail string       `json:"detail" doc:"One sentence for a person"`
	Errors []fieldError `json:"errors,omitempty" doc:"What is wrong with which part of the request"`
}

type fieldError struct {
	Field   string `json:"field" example:"body.to"`
	Message string `json:"message"`
}

// Error implements error.
func (p *problem) Error() string { return p.Code + ": " + p.Detail }

// GetStatus implements huma.StatusError.
func (p *problem) GetStatus() int { return p.Status }

// ContentType implements huma.ContentTypeFilter.
func (p *problem) ContentType(string) string { return "application/problem+json" }

func newProblem(status int, code, detail string) *problem {
	return &problem{
		Type: "urn:msgorch:problem:" + code, Title: http.StatusText(status), Status: status, Code: code, Detail: detail,
	}
}

// statusOf is the one place that turns a failure into an HTTP status.
func statusOf(k fault.Kind) int {
	switch k {
	case fault.Invalid:
		return http.StatusUnprocessableEntity
	case fault.Denied:
		return http.StatusUnauthorized
	case fault.Forbidden:
		return http.StatusForbidden
	case fault.NotFound:
		return http.StatusNotFound
	case fault.Gone:
		return http.StatusGone
	case fault.Conflict:
		return http.StatusConflict
	case fault.Throttled:
		return http.StatusTooManyRequests
	case fault.Unavailable:
		return http.StatusServiceUnavailable
	case fault.Internal:
		return http.StatusInternalServerError
	}
	return http.StatusInternalServerError
}

// fail turns what a room returned into an answer. where is the part of the
// request that its field belongs to, such as "body". Causes are logged, never
// sent.
func (s *server) fail(ctx context.Context, where string, err error) error {
	f := fault.Of(err)
	status := statusOf(f.Kind)
	if status >= http.StatusInternalServerError {
		level := slog.LevelError
		if f.Kind == fault.Unavailable {
			level = slog.LevelWarn
		}
		s.log.LogAttrs(ctx, level, "request.failed", slog.String("code", f.Code), slog.Any("error", err))
	}
	p := newProblem(status, f.Code, f.Detail)
	if f.Field != "" {
		p.Errors = []fieldError{{Field: where + "." + f.Field, Message: f.Detail}}
	}
	headers := http.Header{}
	if f.After > 0 {
		headers.Set("Retry-After", strconv.Itoa(int(math.Ceil(f.After.Seconds()))))
	}
	if status == http.StatusUnauthorized {
		headers.Set("WWW-Authenticate", "Bearer")
	}
	if len(headers) == 0 {
		return p
	}
	return huma.ErrorWithHeaders(p, headers)
}

// useProblems makes huma's own errors problems too. huma keeps its constructor
// in a variable of its package, which is set once.
func useProblems() { problemsOnce() }

//nolint:gochecknoglobals // guards huma's package variables, which every server shares
var problemsOnce = sync.OnceFunc(func() {
	huma.ValidateStrictCasing = true // "Text" is not "text"
	huma.NewError = func(status int, message string, errs ...error) huma.StatusError {
		p := newProblem(status, codeOf(status), detailOf(status, message))
		for _, err := range errs {
			if p.Status == http.StatusBadRequest {
				p.Detail = "The body is not well-formed JSON."
			}
			// The value is what the caller sent: it is not repeated.
			if d, ok := errors.AsType[*huma.ErrorDetail](err); ok {
				p.Errors = append(p.Errors, fieldError{Field: d.Location, Message: plain(d.Message)})
			}
		}
		return p
	}
})

func codeOf(status int) string {
	switch status {
	case http.StatusBadRequest:
		return "malformed_request"
	case http.StatusRequestTimeout:
		return "request_timeout"
	case http.StatusRequestEntityTooLarge:
		return "body_too_large"
	case http.StatusUnsupportedMediaType:
		return "unsupported_media_type"
	case http.StatusUnprocessableEntity:
		return "invalid_request"
	case http.StatusNotAcceptable:
		return "not_acceptable"
	case http.StatusInternalServerError:
		return "internal"
	}
	return "request_failed"
}

func detailOf(status int, message string) string {
	switch status {
	case http.StatusUnprocessableEntity:
		return "The request is not valid; errors says where."
	case http.StatusBadRequest:
		if message == "request body is required" {
			return "The request needs a body."
		}
		return "The request is malformed."
	case http.StatusUnsupportedMediaType:
		return "The body must be application/json."
	case http.StatusRequestEntityTooLarge:
		return "The body is larger than MAX_BODY_BYTES."
	case http.StatusInternalServerError:
		return "Something went wrong on our side."
	}
	return http.StatusText(status) + "."
}

// plain keeps a JSON parser's message from carrying a piece of the body.
func plain(message string) string {
	if strings.HasPrefix(message, "invalid character") || strings.HasPrefix(message, "json:") || strings.HasPrefix(message, "unexpected end") {
		return "is not the JSON that was expected"
	}
	return message
}

// writeProblem answers outside huma.
func writeProblem(w http.ResponseWriter, p *problem) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // the client may be gone; nothing to do about it
}
