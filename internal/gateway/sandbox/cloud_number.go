package sandbox

import (
	"cmp"
	"context"
	"crypto/subtle"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/msgorch/msgorch/internal/secret"
)

// CloudNumber is a phone number of ours on the WhatsApp Cloud API, which the
// sandbox serves below /graph/v23.0, or any other version.
type CloudNumber struct {
	PhoneNumberID      string      `json:"phone_number_id"`
	DisplayPhoneNumber string      `json:"display_phone_number"` // default: 15550000001
	BusinessAccountID  string      `json:"business_account_id"`  // the id of its webhooks' entries; default: 200000000000002
	Instance           string      `json:"instance"`             // MsgOrch's name for it, also in faults, limits and the log; default: the phone_number_id
	Token              secret.Text `json:"token"`                // what calls must carry as Authorization: Bearer; empty: any
	AppSecret          secret.Text `json:"app_secret"`           // signs the webhooks; empty: they are not signed
	VerifyToken        secret.Text `json:"verify_token"`         // what the callback must know; empty: it is not asked
	Callback           string      `json:"callback"`             // base such as http://127.0.0.1:3001; /webhooks/cloud/{instance} is appended; empty: no webhooks

	MessagesPerSecond int  `json:"messages_per_second"` // more are refused with 130429; 0: leave /sandbox/limits as it is
	PairBurst         int  `json:"pair_burst"`          // messages to one person before one in six seconds is the most, else 131056; 0: no such limit
	ServiceWindow     bool `json:"service_window"`      // refuse with 131047 what is no template to who has not written for 24 hours
}

// DemoNumber is the phone_number_id that a new sandbox knows without being told.
// Its token is that of the instances, Options.APIKey; its app secret and its
// verify token are Options.WebhookToken; its instance is "cloud", and its
// callback is the server of Options.WebhookURL.
const DemoNumber = "100000000000001"

// Meta's limits to how one may write to one person.
const (
	pairInterval  = 6 * time.Second
	serviceWindow = 24 * time.Hour
)

// withDefaults fills in what was left out.
func (n CloudNumber) withDefaults() CloudNumber {
	n.DisplayPhoneNumber = cmp.Or(n.DisplayPhoneNumber, "15550000001")
	n.BusinessAccountID = cmp.Or(n.BusinessAccountID, "200000000000002")
	n.Instance = cmp.Or(n.Instance, n.PhoneNumberID)
	n.Callback = strings.TrimRight(n.Callback, "/")
	return n
}

// validate names the field that is wrong.
func (n CloudNumber) validate() error {
	const most = 100_000
	switch u, err := url.Parse(n.Callback); {
	case n.PhoneNumberID == "" || strings.ContainsAny(n.PhoneNumberID, "/?# "):
		return wrong("phone_number_id", "is required, and digits")
	case n.Callback != "" && (err != nil || u.Host == ""):
		return wrong("callback", "must be a URL such as http://127.0.0.1:3001")
	case n.MessagesPerSecond < 0 || n.MessagesPerSecond > most:
		return wrong("messages_per_second", "must be from 0 to %d", most)
	case n.PairBurst < 0 || n.PairBurst > most:
		return wrong("pair_burst", "must be from 0 to %d", most)
	}
	return nil
}

// webhook is the address that webhooks are posted to; empty if none.
func (n *CloudNumber) webhook() string {
	if n.Callback == "" {
		return ""
	}
	return n.Callback + "/webhooks/cloud/" + url.PathEscape(n.Instance)
}

// cloudState is what the sandbox knows as the Cloud API. The zero value knows
// nothing.
type cloudState struct {
	mu      sync.RWMutex
	numbers map[string]*cloudNumber

	files cloudFiles
	batch batch
	marks logbook[*CloudMark]
}

// get returns nil for a number that nobody registered.
func (c *cloudState) get(id string) *cloudNumber {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.numbers[id]
}

// all returns the numbers by their ids.
func (c *cloudState) all() []*cloudNumber {
	c.mu.RLock()
	defer c.mu.RUnlock()
	list := make([]*cloudNumber, 0, len(c.numbers))
	for _, n := range c.numbers {
		list = append(list, n)
	}
	slices.SortFunc(list, func(a, b *cloudNumber) int { return cmp.Compare(a.id, b.id) })
	return list
}

// cloudNumber is a registered number. It stays the same when it is registered again.
type cloudNumber struct {
	id       string
	settings atomic.Pointer[CloudNumber]

	mu    sync.Mutex
	wrote map[string]time.Time     // when a person last wrote to us, by JID
	pairs map[string]*rate.Limiter // of the persons we write to, by JID
}

// takes reports whether a credential may act for the number.
func (n *cloudNumber) takes(token string) bool {
	want := n.settings.Load().Token.Reveal()
	return token != "" && (want == "" || subtle.ConstantTimeCompare([]byte(token), []byte(want)) == 1)
}

// hear notes that a person has written.
func (n *cloudNumber) hear(jid string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.wrote == nil {
		n.wrote = map[string]time.Time{}
	}
	n.wrote[jid] = time.Now()
}

// inWindow reports whether a person wrote in the last 24 hours, or whether that
// does not matter.
func (n *cloudNumber) inWindow(jid string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	at, wrote := n.wrote[jid]
	return !n.settings.Load().ServiceWindow || wrote && time.Since(at) < serviceWindow
}

// takePair reports whether one more message may go to a person now.
func (n *cloudNumber) takePair(jid string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	burst := n.settings.Load().PairBurst
	if burst == 0 {
		return true
	}
	if n.pairs == nil {
		n.pairs = map[string]*rate.Limiter{}
	}
	pair := n.pairs[jid]
	if pair == nil || pair.Burst() != burst {
		pair = rate.NewLimiter(rate.Every(pairInterval), burst)
		n.pairs[jid] = pair
	}
	return pair.Allow()
}

// RegisterNumber makes a number known, or replaces its settings at once, also
// for webhooks that wait to be tried again. A callback with a verify token is
// asked first, as Meta asks: when it does not answer with the challenge, nothing
// changes and RegisterNumber fails. Other errors name the field that is wrong.
func (s *Server) RegisterNumber(ctx context.Context, n CloudNumber) error {
	n = n.withDefaults()
	if err := n.validate(); err != nil {
		return err
	}
	if n.Callback != "" && n.VerifyToken != "" {
		if err := s.verifyCallback(ctx, &n); err != nil {
			return err
		}
	}
	s.storeNumber(n)
	return nil
}

func (s *Server) storeNumber(n CloudNumber) {
	c := &s.cloud
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.numbers == nil {
		c.numbers = map[string]*cloudNumber{}
	}
	known := c.numbers[n.PhoneNumberID]
	if known == nil {
		known = &cloudNumber{id: n.PhoneNumberID}
		c.numbers[known.id] = known
	}
	known.settings.Store(&n)
	if n.MessagesPerSecond > 0 {
		s.instances.get(n.Instance).limit.Store(newLimit(60*n.MessagesPerSecond, n.MessagesPerSecond))
	}
}

// addDemoNumber registers DemoNumber. Its callback is not asked: it may not be
// listening yet.
func (s *Server) addDemoNumber() {
	n := CloudNumber{
		PhoneNumberID: DemoNumber, Instance: "cloud",
		Token: secret.Text(s.token(nil)), AppSecret: s.opts.WebhookToken, VerifyToken: s.opts.WebhookToken,
	}
	if u, err := url.Parse(s.opts.WebhookURL); err == nil && u.Host != "" {
		n.Callback = u.Scheme + "://" + u.Host
	}
	s.storeNumber(n.withDefaults())
}

// verifyCallback asks the callback whether it is ours.
func (s *Server) verifyCallback(ctx context.Context, n *CloudNumber) error {
	challenge := strconv.FormatUint(uint64(rand.Uint32()), 10)
	query := url.Values{
		"hub.mode":         {"subscribe"},
		"hub.verify_token": {n.VerifyToken.Reveal()},
		"hub.challenge":    {challenge},
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, n.webhook()+"?"+query.Encode(), http.NoBody)
	if err != nil {
		return wrong("callback", "is not usable: %v", err)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		// The address that net/http puts into its error has the token in it.
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err
		}
		return wrong("callback", "could not be asked: %v", err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	if err != nil || resp.StatusCode != http.StatusOK || string(answer) != challenge {
		return wrong("callback", "did not answer 200 with the challenge, but %d", resp.StatusCode)
	}
	return nil
}

func (s *Server) putCloudNumber(w http.ResponseWriter, r *http.Request) {
	var n CloudNumber
	if err := readStrict(w, r, &n); err != nil {
		writeError(w, err)
		return
	}
	if err := s.RegisterNumber(r.Context(), n); err != nil {
		writeError(w, err)
		return
	}
	s.listCloudNumbers(w, r)
}

// listCloudNumbers shows the numbers without their secrets.
func (s *Server) listCloudNumbers(w http.ResponseWriter, _ *http.Request) {
	list := []*CloudNumber{}
	for _, n := range s.cloud.all() {
		list = append(list, n.settings.Load())
	}
	writeJSON(w, http.StatusOK, map[string][]*CloudNumber{"data": list})
}
