package cloud

import (
	"cmp"
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/msgorch/msgorch/internal/fault"
	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/wire"
)

// OpenMedia fetches a file that somebody sent, by the id that its message gave
// it. The caller closes the file, and bounds how much it reads of it: size is
// what Meta says, -1 if it does not, and contentType what the sender said; both
// may be wrong. The deadline of ctx counts for the reading too.
//
// It fails with fault.NotFound when Meta does not know the file or has it no
// longer, and with fault.Unavailable when trying again may help.
func (s *Sender) OpenMedia(ctx context.Context, at gateway.Account, mediaID string) (file io.ReadCloser, contentType string, size int64, err error) {
	p := wire.PrivacyOf(at.Credential)
	if !isGraphID(mediaID) {
		return nil, "", 0, gone("The Cloud API cannot have given this id to a file.")
	}
	reply, refused := s.call(ctx, at, http.MethodGet, at.BaseURL+"/"+mediaID+"?phone_number_id="+url.QueryEscape(at.Instance), "", http.NoBody)
	if refused == nil && reply.Status/100 != 2 {
		refused = judge(reply)
	}
	if refused != nil {
		return nil, "", 0, refused.missing(p)
	}
	about, err := wire.Open(reply.Body)
	if err != nil {
		return nil, "", 0, fault.New(fault.Unavailable, "no_media_url", "The Cloud API did not say where the file is.")
	}
	response, err := s.download(ctx, at, about.Text("url"))
	if err != nil {
		return nil, "", 0, err
	}
	size = response.ContentLength
	if told, ok := wire.Number(about.Get("file_size")); ok && size < 0 && told >= 0 {
		size = told
	}
	return response.Body, cmp.Or(response.Header.Get("Content-Type"), about.Text("mime_type")), size, nil
}

// download asks for a file at the address that Graph gave, which lives for five
// minutes. The credential goes there, so it must be as private as the base URL.
func (s *Sender) download(ctx context.Context, at gateway.Account, address string) (*http.Response, error) {
	inTheOpen := strings.HasPrefix(at.BaseURL, "http://") && strings.HasPrefix(address, "http://")
	if !strings.HasPrefix(address, "https://") && !inTheOpen {
		return nil, fault.New(fault.Unavailable, "no_media_url", "The Cloud API did not say where the file is, or not safely.")
	}
	p := wire.PrivacyOf(at.Credential, address)
	request, refused := newRequest(ctx, at, http.MethodGet, address, http.NoBody)
	if refused != nil {
		return nil, refused.missing(p)
	}
	response, err := s.client.Do(request)
	if err != nil {
		r := refuse(gateway.Retry, "connect_failed")
		r.said = wire.Cause(err)
		return nil, r.missing(p)
	}
	if response.StatusCode == http.StatusOK {
		return response, nil
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusNotFound || response.StatusCode == http.StatusGone {
		return nil, gone("The file has expired.")
	}
	return nil, judge(&wire.Reply{Status: response.StatusCode, Header: response.Header}).missing(p)
}

// missing says a refusal as one of a file. An id that Graph does not know is an
// invalid parameter to it.
func (r refusal) missing(p wire.Privacy) *fault.Error {
	kind := fault.Unavailable
	if r.outcome == gateway.Permanent || r.code == "graph_100" {
		kind = fault.NotFound
	}
	return fault.New(kind, r.code, r.reason(p)).RetryAfter(r.wait)
}

func gone(detail string) *fault.Error {
	return fault.New(fault.NotFound, "media_gone", detail)
}
