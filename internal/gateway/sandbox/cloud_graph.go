package sandbox

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// graphRoutes adds what the Cloud API speaks, and what makes it a sandbox.
func (s *Server) graphRoutes(mux *http.ServeMux) {
	mux.HandleFunc("POST /graph/{version}/{number}/messages", s.graphMessages)
	mux.HandleFunc("POST /graph/{version}/{number}/media", s.graphUpload)
	mux.HandleFunc("GET /graph/{version}/{object}", s.graphObject)
	mux.HandleFunc("GET /graph/files/{file}", s.graphFile)
	mux.HandleFunc("/graph/", s.graphNothing)

	mux.HandleFunc("GET /sandbox/cloud/numbers", s.listCloudNumbers)
	mux.HandleFunc("POST /sandbox/cloud/numbers", s.putCloudNumber)
	mux.HandleFunc("POST /sandbox/cloud/inbound", s.cloudInbound)
	mux.HandleFunc("GET /sandbox/cloud/marks", s.listCloudMarks)
}

// A version is the same as any other, but there must be one.
var versionOfGraph = regexp.MustCompile(`^v[0-9]{1,3}\.[0-9]$`)

// admit finds the number of ours that a call is about, or says why the call is
// turned away before anything else is looked at: Graph looks at the credential
// first, then at the object.
func (s *Server) admit(f *Faults, r *http.Request, id string) (*cloudNumber, verdict) {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	n := s.cloud.get(id)
	name := id
	if n != nil {
		name = n.settings.Load().Instance
	}
	switch {
	case !versionOfGraph.MatchString(r.PathValue("version")):
		return nil, refusalOf(OutcomeMissing, graphPath, "")
	case (n == nil || !n.takes(token)) && !s.isToken(token):
		return nil, badToken()
	case slices.Contains(f.UnauthorizedInstances, name):
		return nil, refusalOf(OutcomeUnauthorized, graphBadToken, "")
	case n == nil, !n.takes(token), slices.Contains(f.MissingInstances, name):
		return nil, noObject(strings.ToLower(r.Method), id)
	}
	return n, verdict{}
}

// isToken reports whether a credential belongs to any number of ours.
func (s *Server) isToken(token string) bool {
	return slices.ContainsFunc(s.cloud.all(), func(n *cloudNumber) bool { return n.takes(token) })
}

// graphObject tells of a number of ours or of a file.
func (s *Server) graphObject(w http.ResponseWriter, r *http.Request) {
	f, id := s.faults.Load(), r.PathValue("object")
	if stored := s.cloud.files.get(id); stored != nil {
		s.graphFileInfo(w, r, stored)
		return
	}
	n, no := s.admit(f, r, id)
	if n == nil {
		s.writeGraph(w, no.status, no.message)
		return
	}
	settings := n.settings.Load()
	known := map[string]string{
		"id":                       n.id,
		"verified_name":            ownName,
		"display_phone_number":     settings.DisplayPhoneNumber,
		"quality_rating":           "GREEN",
		"status":                   "CONNECTED",
		"code_verification_status": "VERIFIED",
		"platform_type":            "CLOUD_API",
	}
	if slices.Contains(f.ClosedInstances, settings.Instance) {
		known["status"] = "DISCONNECTED"
	}
	fields := []string{"verified_name", "display_phone_number", "quality_rating"}
	if asked := r.URL.Query().Get("fields"); asked != "" {
		fields = strings.Split(asked, ",")
	}
	answer := map[string]string{"id": n.id}
	for _, field := range fields {
		if value, ok := known[field]; ok {
			answer[field] = value
		}
	}
	writeJSON(w, http.StatusOK, answer)
}

func (s *Server) graphNothing(w http.ResponseWriter, _ *http.Request) {
	no := refusalOf(OutcomeMissing, graphPath, "")
	s.writeGraph(w, no.status, no.message)
}
