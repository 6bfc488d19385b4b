package evolution

import (
	"strconv"
	"time"

	"github.com/msgorch/msgorch/internal/gateway"
)

// graphError is an error of the WhatsApp Cloud API. With its Cloud channel the
// gateway hands it through bare, usually as 201.
type graphError struct {
	code      int64
	transient bool
}

// graphErrorOf recognises a Graph error, bare or inside "error". It returns nil
// for anything else.
func graphErrorOf(body object) *graphError {
	for _, e := range []object{body, objectOf(body.get("error"))} {
		if e.text("type") == "" && e.text("fbtrace_id") == "" {
			continue // a proxy's {"code": 502} says nothing about Graph
		}
		if code, ok := numberOf(e.get("code")); ok {
			return &graphError{code: code, transient: isTrue(e.get("is_transient"))}
		}
	}
	return nil
}

// verdict classifies by Graph's code, as Meta asks. Whatever the code: a message
// that Graph refused was not sent.
func (e graphError) verdict() verdict {
	code := "graph_" + strconv.FormatInt(e.code, 10)
	if e.transient {
		return verdict{gateway.Retry, code}
	}
	switch e.code {
	case 190, 0, 3, 10, 368, 131031, 131042, 131045, 131048, 133010, 130497:
		return verdict{gateway.Pause, code}
	case 131047, 131026, 131021, 131030, 131008, 131009, 100, 33, 131051, 131052,
		132000, 132001, 132005, 132007, 132012, 132015, 132016, 131053, 130472, 131050:
		return verdict{gateway.Permanent, code}
	}
	if 200 <= e.code && e.code <= 299 {
		return verdict{gateway.Pause, code}
	}
	// The codes that ask for patience, and those that nobody has described.
	return verdict{gateway.Retry, code}
}

// wait returns how long Meta's documentation asks to wait after an error.
func (e graphError) wait() time.Duration {
	switch e.code {
	case 131056: // one pair of numbers may exchange about one message in six seconds
		return 6 * time.Second
	case 131049: // WhatsApp protects this person from too many messages
		return 24 * time.Hour
	}
	return 0
}
