package sandbox

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/msgorch/msgorch/internal/secret"
)

// hook is where webhooks go. It never changes; setting another replaces it.
type hook struct {
	url      string
	base     bool // url is followed by the instance
	disabled bool
	byEvents bool        // url is followed by the event
	base64   bool        // said and not done
	events   []string    // configuration names such as SEND_MESSAGE; empty: all
	header   http.Header // what to send along
}

// SetWebhook changes where the webhooks of every instance without its own go,
// at once and also for those that wait to be tried again. An empty url ends
// them.
func (s *Server) SetWebhook(url string, token secret.Text) {
	if url == "" {
		s.fallback.Store(nil)
		return
	}
	h := &hook{url: strings.TrimRight(url, "/"), base: true, header: http.Header{}}
	if token != "" {
		h.header.Set("Authorization", "Bearer "+token.Reveal())
	}
	s.fallback.Store(h)
}

// hook returns where in's webhooks of a kind go; nil if nowhere.
func (s *Server) hook(in *instance, kind string) *hook {
	h := in.hook.Load()
	if h == nil {
		h = s.fallback.Load()
	}
	if h == nil || h.disabled || len(h.events) > 0 && !slices.Contains(h.events, configName(kind)) {
		return nil
	}
	return h
}

// hooked reports whether anybody hears of in at all.
func (s *Server) hooked(in *instance) bool {
	return in.hook.Load() != nil || s.fallback.Load() != nil
}

// target is the address to post an event of in to.
func (h *hook) target(in *instance, kind string) string {
	if h.base {
		return h.url + "/" + url.PathEscape(in.name)
	}
	if h.byEvents {
		return h.url + "/" + strings.ReplaceAll(kind, ".", "-")
	}
	return h.url
}

// destination is what the body calls the address: without the event.
func (h *hook) destination(in *instance) string {
	if h.base {
		return h.target(in, "")
	}
	return h.url
}

// configName is what webhook/set calls an event.
func configName(kind string) string {
	return strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(kind))
}

// hookEvents are the events that webhook/set takes.
const hookEvents = `APPLICATION_STARTUP QRCODE_UPDATED MESSAGES_SET MESSAGES_UPSERT MESSAGES_EDITED MESSAGES_UPDATE
	MESSAGES_DELETE SEND_MESSAGE SEND_MESSAGE_UPDATE CONTACTS_SET CONTACTS_UPSERT CONTACTS_UPDATE PRESENCE_UPDATE CHATS_SET
	CHATS_UPSERT CHATS_UPDATE CHATS_DELETE GROUPS_UPSERT GROUP_UPDATE GROUP_PARTICIPANTS_UPDATE CONNECTION_UPDATE
	LABELS_EDIT LABELS_ASSOCIATION CALL TYPEBOT_START TYPEBOT_CHANGE_STATUS REMOVE_INSTANCE LOGOUT_INSTANCE
	INSTANCE_CREATE INSTANCE_DELETE STATUS_INSTANCE`

// hookCall is a webhook as webhook/set takes it.
type hookCall struct {
	Enabled  bool              `json:"enabled"`
	URL      string            `json:"url"`
	Headers  map[string]string `json:"headers"`
	ByEvents bool              `json:"byEvents"`
	Base64   bool              `json:"base64"`
	Events   []string          `json:"events"`
}

func (c *hookCall) hook() *hook {
	h := &hook{url: c.URL, disabled: !c.Enabled, byEvents: c.ByEvents, base64: c.Base64, events: c.Events, header: http.Header{}}
	for name, value := range c.Headers {
		h.header.Set(name, value)
	}
	return h
}

// hookView is a webhook as Evolution shows it.
type hookView struct {
	URL        string            `json:"url"`
	Enabled    bool              `json:"enabled"`
	Headers    map[string]string `json:"headers"`
	Events     []string          `json:"events"`
	ByEvents   bool              `json:"webhookByEvents"`
	Base64     bool              `json:"webhookBase64"`
	InstanceID string            `json:"instanceId"`
}

func (h *hook) view(in *instance) *hookView {
	if h == nil {
		return nil
	}
	headers := make(map[string]string, len(h.header))
	for name := range h.header {
		headers[name] = h.header.Get(name)
	}
	return &hookView{h.url, !h.disabled, headers, append([]string{}, h.events...), h.byEvents, h.base64, in.id}
}

func (s *Server) setHook(w http.ResponseWriter, r *http.Request, in *instance) {
	var call struct {
		Hook *hookCall `json:"webhook"`
	}
	if !readCall(w, r, &call) {
		return
	}
	if call.Hook == nil {
		writeRefusal(w, http.StatusBadRequest, [][]string{{`instance requires property "webhook"`}})
		return
	}
	if u, err := url.Parse(call.Hook.URL); call.Hook.Enabled && (err != nil || u.Host == "") {
		writeRefusal(w, http.StatusBadRequest, []string{"Invalid \"url\" property"})
		return
	}
	for _, event := range call.Hook.Events {
		if !slices.Contains(strings.Fields(hookEvents), event) {
			enum := strings.Join(strings.Fields(hookEvents), ",")
			writeRefusal(w, http.StatusBadRequest, [][]string{{"webhook.events[0] is not one of enum values: " + enum}})
			return
		}
	}
	h := call.Hook.hook()
	in.hook.Store(h)
	writeJSON(w, http.StatusCreated, h.view(in))
}

// findHook answers null when the instance has no webhook of its own.
func (s *Server) findHook(w http.ResponseWriter, _ *http.Request, in *instance) {
	writeJSON(w, http.StatusOK, in.hook.Load().view(in))
}
