package sandbox

import (
	"fmt"
	"net/http"
	"slices"
)

// graphError is how Graph says no.
type graphError struct {
	Message   string      `json:"message"`
	Type      string      `json:"type"`
	Transient bool        `json:"is_transient,omitempty"`
	Code      int         `json:"code"`
	Subcode   int         `json:"error_subcode,omitempty"`
	Data      *graphCause `json:"error_data,omitempty"`
	Trace     string      `json:"fbtrace_id"`
}

type graphCause struct {
	Product string `json:"messaging_product"`
	Details string `json:"details"`
}

// The codes that the sandbox itself decides for.
const (
	graphInvalid      = 100    // a parameter, or with a subcode an object, that Graph does not know
	graphBadToken     = 190    // the credential is none, or has expired
	graphTooFast      = 130429 // the number sends too fast
	graphFailed       = 131000 // something went wrong, nobody says what
	graphMissing      = 131008 // a parameter is missing
	graphBadValue     = 131009 // a parameter's value is not valid
	graphToSelf       = 131021 // the recipient is the sender
	graphUndelivered  = 131026 // nobody is there
	graphOutside      = 131047 // nothing but a template can be sent to this person now
	graphUpload       = 131053 // a file that was uploaded cannot be used
	graphPairTooFast  = 131056 // too much to one person
	graphUnregistered = 133010 // the number is not registered
	graphPath         = 2500   // there is no such address
)

// graphTitle returns the HTTP status that Graph answers a code with, and what it
// calls it. It returns 0 for a code that the sandbox does not know.
func graphTitle(code int) (status int, title string) {
	switch code {
	case 1:
		return http.StatusInternalServerError, "An unknown error has occurred."
	case 2:
		return http.StatusServiceUnavailable, "Service temporarily unavailable"
	case 4:
		return http.StatusBadRequest, "Application request limit reached"
	case 10:
		return http.StatusForbidden, "Application does not have permission"
	case graphInvalid:
		return http.StatusBadRequest, "Invalid parameter"
	case graphBadToken:
		return http.StatusUnauthorized, "Error validating access token: Session has expired"
	case 368:
		return http.StatusForbidden, "Temporarily blocked for policies violations"
	case graphPath:
		return http.StatusBadRequest, "Unknown path components"
	case 80007:
		return http.StatusBadRequest, "Rate limit issues"
	case graphTooFast:
		return http.StatusTooManyRequests, "Rate limit hit"
	case graphFailed:
		return http.StatusInternalServerError, "Something went wrong"
	case graphMissing:
		return http.StatusBadRequest, "Required parameter is missing"
	case graphBadValue:
		return http.StatusBadRequest, "Parameter value is not valid"
	case 131016:
		return http.StatusServiceUnavailable, "Service unavailable"
	case graphToSelf:
		return http.StatusBadRequest, "Recipient cannot be sender"
	case graphUndelivered:
		return http.StatusBadRequest, "Message undeliverable"
	case 131030:
		return http.StatusBadRequest, "Recipient phone number not in allowed list"
	case 131031:
		return http.StatusForbidden, "Account has been locked"
	case 131042:
		return http.StatusBadRequest, "Business eligibility payment issue"
	case graphOutside:
		return http.StatusBadRequest, "Re-engagement message"
	case 131048:
		return http.StatusBadRequest, "Spam rate limit hit"
	case 131049:
		return http.StatusBadRequest, "healthy ecosystem engagement"
	case 131051:
		return http.StatusBadRequest, "Unsupported message type"
	case graphUpload:
		return http.StatusBadRequest, "Media upload error"
	case graphPairTooFast:
		return http.StatusBadRequest, "(Business Account, Consumer Account) pair rate limit hit"
	case 132001:
		return http.StatusNotFound, "Template name does not exist in the translation"
	case 132015:
		return http.StatusBadRequest, "Template is paused"
	case 133004:
		return http.StatusServiceUnavailable, "Server temporarily unavailable"
	case graphUnregistered:
		return http.StatusBadRequest, "Account not registered"
	}
	return 0, ""
}

// refusalOf returns Graph's error of a code that graphTitle knows. Without
// details it says nothing that its title does not.
func refusalOf(o Outcome, code int, details string) verdict {
	status, title := graphTitle(code)
	e := graphError{Message: title, Type: "OAuthException", Code: code}
	switch code {
	case 1:
	case 2:
		e.Transient = true
	case graphBadToken:
		e.Subcode = 463 // it has expired
	default:
		if details == "" {
			details = title
		}
		e.Message = fmt.Sprintf("(#%d) %s", code, title)
		e.Data = &graphCause{Product: "whatsapp", Details: details}
	}
	return refuse(o, status, e)
}

// badToken refuses a credential that nobody has.
func badToken() verdict {
	return refuse(OutcomeUnauthorized, http.StatusUnauthorized, graphError{
		Message: "Invalid OAuth access token - Cannot parse access token", Type: "OAuthException", Code: graphBadToken,
	})
}

// noObject refuses an id that Graph does not know, or that the credential may not
// see.
func noObject(method, id string) verdict {
	return refuse(OutcomeMissing, http.StatusBadRequest, graphError{
		Message: fmt.Sprintf("Unsupported %s request. Object with ID '%s' does not exist, cannot be loaded due to missing "+
			"permissions, or does not support this operation", method, id),
		Type: "GraphMethodException", Code: graphInvalid, Subcode: 33,
	})
}

// page is an answer in HTML, such as proxies give.
type page string

const badGateway page = "<html><title>Bad gateway</title></html>"

// misfortuneOnGraph rolls the dice as for any gateway, and says what falls in
// Graph's words.
func (s *Server) misfortuneOnGraph(f *Faults) verdict {
	v := s.misfortune(f)
	if v.outcome == OutcomeFault429 {
		return refusalOf(v.outcome, graphTooFast, "")
	}
	if v.outcome != OutcomeFault500 {
		return v
	}
	code := graphFailed
	if n := len(f.GraphErrors); n > 0 {
		code = f.GraphErrors[int(s.dice.roll()*float64(n))]
	}
	if code != 0 {
		return refusalOf(v.outcome, code, "")
	}
	v.message, v.delivered = badGateway, s.dice.hit(f.ResetDelivers)
	return v
}

// validateGraphErrors names the field that is wrong.
func validateGraphErrors(codes []int) error {
	const most = 100
	if len(codes) > most {
		return wrong("graph_errors", "must be at most %d", most)
	}
	unknown := slices.IndexFunc(codes, func(code int) bool {
		status, _ := graphTitle(code)
		return status == 0 && code != 0
	})
	if unknown >= 0 {
		return wrong("graph_errors", "must be codes of Graph that the sandbox knows, or 0 for a page in HTML, not %d", codes[unknown])
	}
	return nil
}

// writeGraph answers with a verdict's message: Graph's error, or a page.
func (s *Server) writeGraph(w http.ResponseWriter, status int, message any) {
	switch said := message.(type) {
	case page:
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(said))
	case graphError:
		said.Trace = "A" + s.ids.next()
		w.Header().Set("WWW-Authenticate", fmt.Sprintf("OAuth \"Facebook Platform\" %q", said.Type))
		writeJSON(w, status, map[string]graphError{"error": said})
	default:
		writeJSON(w, status, message)
	}
}
