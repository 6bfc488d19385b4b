package evolution

import (
	"slices"
	"strings"

	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/wire"
	"github.com/msgorch/msgorch/internal/secret"
)

// Baileys is the integration that speaks WhatsApp Web, the only one with a code
// to scan.
const Baileys = "WHATSAPP-BAILEYS"

// Instance is what a server tells of an instance. Members that it does not tell
// are zero.
type Instance struct {
	Integration string
	State       string      // of its session, such as open
	Number      string      // its own, in digits; empty before the first connection
	Token       secret.Text // its own key; the server shows it unless it was told not to
	Settings    Settings
	Others      []string // whoever else hears of it: rabbitmq, chatwoot, …
}

// Settings are how an instance behaves, as far as it matters to us.
type Settings struct {
	ReadMessages    bool // people see blue ticks before anybody has read
	ReadStatus      bool
	SyncFullHistory bool
	GroupsIgnore    bool
}

// Webhook is where a server reports what happens to an instance.
type Webhook struct {
	Enabled  bool
	URL      string // may carry a secret
	Headers  map[string]secret.Text
	ByEvents bool // the event is added to the URL
	Base64   bool // files come inside the report
	Events   []string
}

// Header returns a header in whatever case it is written; empty if there is none.
func (w Webhook) Header(name string) string {
	for n, value := range w.Headers {
		if strings.EqualFold(n, name) {
			return value.Reveal()
		}
	}
	return ""
}

// Events are the reports that MsgOrch makes something of, as webhook/set names
// them. The rest would only cost: an empty list asks for all there are.
func Events() []string {
	return []string{
		"MESSAGES_UPSERT", "MESSAGES_SET", "MESSAGES_UPDATE", "MESSAGES_EDITED", "MESSAGES_DELETE", "SEND_MESSAGE",
		"CONNECTION_UPDATE", "STATUS_INSTANCE", "CONTACTS_SET", "CONTACTS_UPSERT", "CONTACTS_UPDATE",
		"CHATS_SET", "CHATS_UPSERT", "CHATS_UPDATE",
	}
}

const (
	longText  = 4096 // bytes of a text that we take from a server
	longName  = 64
	longCode  = 1024 // of what is to be scanned; a real one has about 240
	manyItems = 100
)

// short returns a text that is not longer than it may be, else nothing.
func short(text string, most int) string {
	if len(text) > most {
		return ""
	}
	return text
}

func readVersion(body []byte) string {
	return wire.OneLine(short(wire.ObjectOf(body).Text("version"), longName))
}

// readInstance finds an instance in a list; version 1 wraps each. Names are
// compared exactly, as some versions answer with all there are.
func readInstance(body []byte, name string) *Instance {
	for element := range wire.Elements(body) {
		o := wire.ObjectOf(element)
		if inner := o.Object("instance"); inner != nil {
			o = inner
		}
		if first(o, "name", "instanceName") != name {
			continue
		}
		i := &Instance{
			Integration: short(o.Text("integration"), longName),
			State:       short(first(o, "connectionStatus", "status", "state"), longName),
			Number:      ownNumber(first(o, "ownerJid", "owner")),
			Token:       tokenOf(first(o, "token", "apikey")),
			Settings:    readSettings(o.Object("Setting")),
		}
		for _, other := range []string{"Chatwoot", "Rabbitmq", "Nats", "Sqs", "Websocket", "Typebot", "N8n", "OpenaiBot"} {
			if on := o.Object(other).Get("enabled"); wire.IsTrue(on) {
				i.Others = append(i.Others, other)
			}
		}
		return i
	}
	return nil
}

// first returns the first of some members that is a text and not empty.
func first(o wire.Object, names ...string) string {
	for _, name := range names {
		if text := o.Text(name); text != "" {
			return text
		}
	}
	return ""
}

func ownNumber(jid string) string {
	number, _, _ := strings.Cut(user(jid), ":") // the device
	if !wire.IsDigits(number) || len(number) > 20 {
		return ""
	}
	return number
}

// tokenOf returns a key that can be shown again; else none.
func tokenOf(text string) secret.Text {
	token := secret.Text(short(text, longText))
	if !wire.IsHeaderSafe(token) {
		return ""
	}
	return token
}

// readNewToken reads {"hash":"…"}, or {"hash":{"apikey":"…"}} of older versions.
func readNewToken(body []byte) secret.Text {
	o := wire.ObjectOf(body)
	return tokenOf(o.Text("hash") + o.Object("hash").Text("apikey"))
}

// readWebhook reads what webhook/find answers; older versions wrap it.
func readWebhook(body []byte) Webhook {
	o := wire.ObjectOf(body)
	if inner := o.Object("webhook"); inner != nil {
		o = inner
	}
	w := Webhook{
		Enabled:  wire.IsTrue(o.Get("enabled")),
		URL:      short(o.Text("url"), longText),
		ByEvents: wire.IsTrue(o.Get("webhookByEvents")) || wire.IsTrue(o.Get("byEvents")),
		Base64:   wire.IsTrue(o.Get("webhookBase64")) || wire.IsTrue(o.Get("base64")),
	}
	for element := range wire.Elements(o.Get("events")) {
		if name, ok := wire.Text(element); ok && name != "" && len(name) <= longName && len(w.Events) < manyItems {
			w.Events = append(w.Events, name)
		}
	}
	for _, m := range o.Object("headers") {
		value, ok := wire.Text(m.Value)
		if ok && len(m.Name) <= longName && len(value) <= longText && len(w.Headers) < manyItems {
			if w.Headers == nil {
				w.Headers = map[string]secret.Text{}
			}
			w.Headers[string(m.Name)] = secret.Text(value)
		}
	}
	return w
}

func readSettings(o wire.Object) Settings {
	on := func(camel, snake string) bool { return wire.IsTrue(o.Get(camel)) || wire.IsTrue(o.Get(snake)) }
	return Settings{
		ReadMessages:    on("readMessages", "read_messages"),
		ReadStatus:      on("readStatus", "read_status"),
		SyncFullHistory: on("syncFullHistory", "sync_full_history"),
		GroupsIgnore:    on("groupsIgnore", "groups_ignore"),
	}
}

// stateIn reads {"instance":{"state":"open"}}.
func stateIn(o wire.Object) string {
	return wire.OneLine(short(o.Object("instance").Text("state"), longName))
}

// readLink reads the answer to instance/connect: a state, a code, or neither
// while the server is still waiting for one. A failure comes with status 200.
func readLink(body []byte) (gateway.Link, error) {
	o := wire.ObjectOf(body)
	if state := stateIn(o); state != "" {
		return gateway.Link{State: state}, nil
	}
	if inner := o.Object("qrcode"); inner != nil {
		o = inner
	}
	l := gateway.Link{State: "connecting"}
	switch {
	case isLimit(o.Text("message")):
		l.QR.Exhausted = true
	case wire.IsTrue(o.Get("error")):
		return gateway.Link{}, failing("gateway_error")
	default:
		l.QR.Code = secret.Text(short(o.Text("code"), longCode))
		l.QR.PairingCode = secret.Text(short(o.Text("pairingCode"), longName))
	}
	return l, nil
}

// isLimit reports whether a server says that too many codes went by.
func isLimit(message string) bool { return strings.Contains(strings.ToLower(message), "limit reached") }

// Differs says in words what of a webhook is not as it should be, apart from its
// headers; nil if nothing.
func (w Webhook) Differs(from Webhook) []string {
	var differences []string
	note := func(differs bool, words string) {
		if differs {
			differences = append(differences, words)
		}
	}
	note(!w.Enabled, "is off")
	note(w.URL != from.URL, "has another URL")
	note(w.ByEvents != from.ByEvents, "adds the event to the URL")
	note(w.Base64 != from.Base64, "carries files inside")
	sorted := func(names []string) []string { return slices.Compact(slices.Sorted(slices.Values(names))) }
	note(!slices.Equal(sorted(w.Events), sorted(from.Events)), "reports other events")
	return differences
}
