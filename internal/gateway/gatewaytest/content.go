package gatewaytest

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/msgorch/msgorch/internal/gateway"
)

// contents tries every kind of content: one that the dialect can send arrives as
// it was given, and any other is refused before the gateway hears of it.
func contents(t *testing.T, start Harness) {
	t.Helper()
	for name, m := range everyContent() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := start(t)
			m.ID, m.To = "0190-ours", Somebody

			a := g.send(t.Context(), t, m)

			if !slices.Contains(g.Types, m.Type) {
				if a.Outcome != gateway.Permanent {
					t.Errorf("%+v, want permanent", a)
				}
				g.mustLog(t, 0, 0)
				return
			}
			log := g.mustLog(t, 1, 1)
			if a.Outcome != gateway.Accepted || a.MessageID != log[0].GatewayID {
				t.Fatalf("%+v, want accepted as %s", a, log[0].GatewayID)
			}
			arrived := log[0].Outgoing
			if arrived.ID == "" {
				m.ID = "" // the gateway is not told
			}
			if diff := cmp.Diff(m, arrived, cmp.Comparer(sameJSON)); diff != "" {
				t.Errorf("arrived (-given +arrived):\n%s", diff)
			}
		})
	}
}

// everyContent is one message or more of each type, in the words of the API.
func everyContent() map[string]gateway.Outgoing {
	file := func(m gateway.Media) *gateway.Content { return &gateway.Content{Media: &m} }
	return map[string]gateway.Outgoing{
		"text":      {Type: gateway.TypeText, Text: "¿Qué tal? 😀\n\"a/b\" <i> \\ fin"},
		"reply":     {Type: gateway.TypeText, Text: "Sí, ése", QuotedID: "QUOTED1"},
		"image":     {Type: gateway.TypeImage, Text: "el plano", Content: file(gateway.Media{URL: "https://files.invalid/plano.png"})},
		"own image": {Type: gateway.TypeImage, Text: "el plano", Content: file(gateway.Media{Base64: "iVBORw0KGgo=", MIMEType: "image/png"})},
		"video":     {Type: gateway.TypeVideo, Text: "la obra", Content: file(gateway.Media{URL: "https://files.invalid/obra.mp4"})},
		"audio":     {Type: gateway.TypeAudio, Content: file(gateway.Media{URL: "https://files.invalid/canto.mp3"})},
		"voice":     {Type: gateway.TypeVoice, Content: file(gateway.Media{URL: "https://files.invalid/recado.ogg"})},
		"sticker":   {Type: gateway.TypeSticker, Content: file(gateway.Media{URL: "https://files.invalid/gato.webp"})},
		"document": {
			Type: gateway.TypeDocument, Text: "la factura",
			Content: file(gateway.Media{URL: "https://files.invalid/f.pdf", FileName: "factura.pdf"}),
		},
		"location": {Type: gateway.TypeLocation, Content: &gateway.Content{
			Location: &gateway.Location{Latitude: 19.4326, Longitude: -99.1332, Name: "Zócalo", Address: "Centro"},
		}},
		"contacts": {Type: gateway.TypeContacts, Content: &gateway.Content{
			Contacts: []gateway.Card{{Name: "Beto Núñez", Phones: []string{"+5215550001002"}}},
		}},
		"reaction": {Type: gateway.TypeReaction, Content: &gateway.Content{
			Reaction: &gateway.Reaction{To: "REACTED1", Emoji: "👍"},
		}},
		"no more reaction": {Type: gateway.TypeReaction, Content: &gateway.Content{Reaction: &gateway.Reaction{To: "REACTED1"}}},
		"poll": {Type: gateway.TypePoll, Content: &gateway.Content{
			Poll: &gateway.Poll{Name: "¿Cuándo?", Options: []string{"Hoy", "Mañana"}},
		}},
		"buttons": {Type: gateway.TypeInteractive, Content: &gateway.Content{Interactive: &gateway.Interactive{
			Kind: "buttons", Header: "Su cita", Body: "¿La confirma?", Footer: "Gracias",
			Buttons: []gateway.Button{{ID: "si", Title: "Sí"}, {ID: "no", Title: "No"}},
		}}},
		"list": {Type: gateway.TypeInteractive, Content: &gateway.Content{Interactive: &gateway.Interactive{
			Kind: "list", Body: "El menú", Button: "Ver",
			Sections: []gateway.Section{{Title: "Hoy", Rows: []gateway.Row{{ID: "1", Title: "Mole", Description: "rojo"}}}},
		}}},
		"template": {Type: gateway.TypeTemplate, Content: &gateway.Content{
			Template: json.RawMessage(`{"name":"paid","language":{"code":"es_MX"},"components":[{"type":"body","parameters":[{"type":"text","text":"Ana"}]}]}`),
		}},
		"unknown": {Type: gateway.TypeUnknown},
	}
}

func sameJSON(a, b json.RawMessage) bool {
	var x, y any
	if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil {
		return string(a) == string(b)
	}
	return cmp.Equal(x, y)
}
