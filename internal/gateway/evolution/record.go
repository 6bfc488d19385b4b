package evolution

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/wire"
)

// recordPage is how many records are asked for at a time: whole messages, each of
// which may carry a thumbnail.
const recordPage = 100

// Records implements gateway.Historian by asking for the messages of a time. A
// record that is no message of anybody's, or without an id, is left out.
func (s *Sender) Records(ctx context.Context, at gateway.Account, span gateway.Span) (gateway.RecordPage, error) {
	var call findMessages
	call.Where.Key.FromMe = span.Ours // false does not filter
	call.Where.Timestamp.From = span.From.UTC().Truncate(time.Second)
	call.Where.Timestamp.To = span.To.UTC()
	call.Page, call.Offset = span.Page, recordPage
	records, pages, err := s.findPage(ctx, at, call)
	if err != nil {
		return gateway.RecordPage{}, err
	}
	page := gateway.RecordPage{Pages: pages}
	for raw := range wire.Elements(records) {
		if r, ok := recordOf(wire.ObjectOf(raw), at.Instance, span.OldBefore); ok {
			page.Records = append(page.Records, r)
		}
	}
	if n := len(page.Records); n > 1 {
		page.Newest = page.Records[0].At.After(page.Records[n-1].At) || page.Records[0].At.Equal(page.Records[n-1].At)
	}
	return page, nil
}

func recordOf(record wire.Object, instance string, oldBefore time.Time) (gateway.Record, bool) {
	key := record.Object("key")
	id, err := wire.MessageID(key.Get("id"))
	if err != nil {
		return gateway.Record{}, false
	}
	r := gateway.Record{ID: id, FromMe: wire.IsTrue(key.Get("fromMe")), At: timeOf(record.Get("messageTimestamp"))}
	r.Old = !r.At.IsZero() && r.At.Before(oldBefore)
	event := gateway.EventFound
	if r.Old {
		event = "messages.set"
	}
	r.Message = envelopeOf(event, instance, asWebhook(record))
	var told string
	if told, r.Status = bestOf(record); r.Status != "" {
		r.Report = envelopeOf("messages.update", instance, encode(report{KeyID: id, FromMe: r.FromMe, Status: told}))
	}
	return r, true
}

// report is what messages.update says of a status.
type report struct {
	KeyID  string `json:"keyId"`
	FromMe bool   `json:"fromMe"`
	Status string `json:"status"`
}

// envelopeOf is an event as the gateway would have posted it.
func envelopeOf(event, instance string, data json.RawMessage) gateway.Envelope {
	body := encode(struct {
		Event    string          `json:"event"`
		Instance string          `json:"instance"`
		Data     json.RawMessage `json:"data"`
	}{event, instance, data})
	return gateway.Envelope{Event: event, Instance: instance, Body: redact(body)}
}

// asWebhook is a record without what changes while its message goes its way, and
// without the id of its row.
func asWebhook(record wire.Object) json.RawMessage {
	out := []byte{'{'}
	for _, m := range record {
		switch string(m.Name) {
		case "id", "status", "MessageUpdate":
			continue
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(append(append(out, encode(string(m.Name))...), ':'), m.Value...)
	}
	return append(out, '}')
}

// bestOf returns the best status that a record tells of, under the gateway's name
// and ours. Versions tell it in MessageUpdate, in status, or not at all.
func bestOf(record wire.Object) (told string, best gateway.Status) {
	names := []string{record.Text("status")}
	for update := range wire.Elements(record.Get("MessageUpdate")) {
		names = append(names, wire.ObjectOf(update).Text("status"))
	}
	order := []gateway.Status{
		gateway.StatusSent, gateway.StatusFailed, gateway.StatusDelivered, gateway.StatusRead, gateway.StatusPlayed,
	}
	for _, name := range names {
		status, known := statusOf(name)
		if known && slices.Index(order, status) > slices.Index(order, best) {
			told, best = name, status
		}
	}
	return told, best
}

// encode encodes what cannot fail: texts, and JSON that was accepted before.
func encode(v any) json.RawMessage {
	encoded, err := json.Marshal(v)
	if err != nil {
		return json.RawMessage("null")
	}
	return encoded
}

var _ gateway.Historian = (*Sender)(nil)
