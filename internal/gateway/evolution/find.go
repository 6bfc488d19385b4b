package evolution

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/msgorch/msgorch/internal/address"
	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/wire"
)

// Bounds of a search. An instance that has sent more in the time in question
// cannot be searched: that is an answer too, and a safe one.
const (
	findPage     = 500
	findPages    = 20
	maxFindBytes = 16 << 20 // records carry whole messages
)

// clockSkew is how far the gateway's clock may run behind ours.
const clockSkew = 5 * time.Second

// findMessages is the body of POST /chat/findMessages. Evolution takes offset
// for the size of a page, and ignores a time without its other end.
type findMessages struct {
	Where struct {
		Key struct {
			FromMe bool `json:"fromMe"`
		} `json:"key"`
		Timestamp struct {
			From time.Time `json:"gte"`
			To   time.Time `json:"lte"`
		} `json:"messageTimestamp"`
	} `json:"where"`
	Page   int `json:"page"`
	Offset int `json:"offset"`
}

// sent is a message that the gateway has sent.
type sent struct {
	id string
	at time.Time
}

// Find implements gateway.Finder. It does not ask for the chat alone, because
// the gateway may have stored the message under another address of the same
// person: a LID, or the number with or without a mobile prefix.
func (s *Sender) Find(ctx context.Context, at gateway.Account, m gateway.Sought) ([]string, error) {
	var call findMessages
	call.Where.Key.FromMe = true
	call.Where.Timestamp.From = m.Since.Add(-clockSkew).UTC().Truncate(time.Second)
	call.Where.Timestamp.To = time.Now().Add(time.Minute).UTC()
	call.Offset = findPage
	if m.Witness != "" && m.WitnessAt.Before(m.Since) {
		call.Where.Timestamp.From = m.WitnessAt.Add(-clockSkew).UTC().Truncate(time.Second)
	}
	since := m.Since.Add(-clockSkew).Truncate(time.Second)
	witnessed := m.Witness == ""
	var found []sent
	for call.Page = 1; ; call.Page++ {
		records, pages, err := s.findPage(ctx, at, call)
		if err != nil {
			return nil, err
		}
		for raw := range wire.Elements(records) {
			record := wire.ObjectOf(raw)
			witnessed = witnessed || wire.ObjectOf(record.Get("key")).Text("id") == m.Witness
			if hit, ok := matchSent(record, m, since); ok {
				found = append(found, hit)
			}
		}
		if call.Page >= pages {
			break
		}
		if call.Page >= findPages {
			return nil, fmt.Errorf("the instance has sent more than %d messages since", findPage*findPages)
		}
	}
	if len(found) == 0 && !witnessed {
		return nil, errors.New("the gateway does not keep what it sends")
	}
	slices.SortStableFunc(found, func(a, b sent) int { return cmp.Compare(a.at.Unix(), b.at.Unix()) })
	ids := make([]string, len(found))
	for i, f := range found {
		ids[i] = f.id
	}
	return ids, nil
}

func (s *Sender) findPage(ctx context.Context, at gateway.Account, call findMessages) (records json.RawMessage, pages int, err error) {
	request, err := post(ctx, at, "/chat/findMessages/", call)
	if err != nil {
		return nil, 0, err
	}
	response, err := s.client.Do(request)
	if err != nil {
		return nil, 0, fmt.Errorf("ask the gateway: %s", wire.Cause(err))
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxFindBytes+1))
	switch {
	case err != nil:
		return nil, 0, fmt.Errorf("read the gateway's answer: %s", wire.Cause(err))
	case response.StatusCode < 200 || response.StatusCode > 299:
		return nil, 0, fmt.Errorf("the gateway answered %d", response.StatusCode)
	case len(body) > maxFindBytes || !json.Valid(body):
		return nil, 0, errors.New("the gateway's answer cannot be read")
	}
	messages := wire.ObjectOf(wire.ObjectOf(body).Get("messages"))
	records = messages.Get("records")
	count, ok := numberOf(messages.Get("pages"))
	if !ok || len(records) == 0 || records[0] != '[' {
		return nil, 0, errors.New("the gateway's answer holds no messages")
	}
	return records, int(min(count, findPages+1)), nil
}

// matchSent reads a record that may be the message sought.
func matchSent(record wire.Object, m gateway.Sought, since time.Time) (sent, bool) {
	key := wire.ObjectOf(record.Get("key"))
	id, err := wire.MessageID(key.Get("id"))
	at := timeOf(record.Get("messageTimestamp"))
	if err != nil || !wire.IsTrue(key.Get("fromMe")) || at.Before(since) {
		return sent{}, false
	}
	if !maySay(contentOf(record.Get("message")), m) {
		return sent{}, false
	}
	jid, ok := canonicalJID(key.Text("remoteJid"))
	if !ok {
		return sent{}, false
	}
	if alt, known := canonicalJID(key.Text("remoteJidAlt")); known {
		jid, _ = preferPhone(jid, alt) // a number tells more than a LID
	}
	return sent{id: id, at: at}, maybeSame(jid, m.To)
}

// maySay reports whether a content may be what a message was to say.
func maySay(c content, m gateway.Sought) bool {
	said, sought := wire.Sanitize(c.text, wire.MaxTextRunes), wire.Sanitize(m.Text, wire.MaxTextRunes)
	switch m.Type {
	case gateway.TypeAudio, gateway.TypeVoice: // some versions make every sound a spoken one
		return said == sought && (c.kind == gateway.TypeAudio || c.kind == gateway.TypeVoice)
	case gateway.TypeInteractive:
		if c.kind == gateway.TypeText { // all that the Cloud channel keeps of buttons, which it appends
			return strings.HasPrefix(said, sought)
		}
	}
	return said == sought && (m.Type == "" || m.Type == c.kind)
}

// maybeSame reports whether two JIDs may be one chat: when they are equal, when
// one is a LID, which tells nothing, or when they are two ways to write one
// mobile number.
func maybeSame(a, b string) bool {
	switch {
	case a == b:
		return true
	case isGroup(a), isGroup(b):
		return false
	}
	return isLID(a) || isLID(b) || address.SameNumber(a, b)
}

var _ interface {
	gateway.Sender
	gateway.Finder
	gateway.Prober
	gateway.Attendant
} = (*Sender)(nil)
