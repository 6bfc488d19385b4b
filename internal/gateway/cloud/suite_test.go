package cloud_test

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"testing"

	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/cloud"
	"github.com/msgorch/msgorch/internal/gateway/gatewaytest"
	"github.com/msgorch/msgorch/internal/gateway/sandbox"
)

func TestSenderKeepsWhatEverySenderPromises(t *testing.T) {
	t.Parallel()
	gatewaytest.Run(t, func(t *testing.T) gatewaytest.Gateway {
		t.Helper()
		s, address, set := gatewaytest.StartSandbox(t)
		const number = "100000000000055"
		if err := s.RegisterNumber(t.Context(), sandbox.CloudNumber{PhoneNumberID: number, Token: gatewaytest.Credential}); err != nil {
			t.Fatal(err)
		}
		return gatewaytest.Gateway{
			Sender:  cloud.NewSender(nil),
			Account: gateway.Account{Instance: number, BaseURL: address + "/graph/v23.0", Credential: gatewaytest.Credential},
			Types: []string{
				gateway.TypeText, gateway.TypeImage, gateway.TypeVideo, gateway.TypeAudio, gateway.TypeVoice, gateway.TypeDocument,
				gateway.TypeSticker, gateway.TypeLocation, gateway.TypeContacts, gateway.TypeReaction, gateway.TypeInteractive,
				gateway.TypeTemplate,
			},
			Log: func() (log []gatewaytest.Entry) {
				for _, e := range s.Sent() {
					log = append(log, entryOf(t, s, e))
				}
				return log
			},
			Signs: func() (signs []gatewaytest.Sign) {
				for _, m := range s.CloudMarks() {
					signs = append(signs, gatewaytest.Sign{Read: m.MessageID, Typing: m.Typing})
				}
				return signs
			},
			Set: set,
		}
	})
}

// arrived is a request as Graph got it.
type arrived struct {
	Type    string
	Ours    string `json:"biz_opaque_callback_data"`
	Context struct {
		MessageID string `json:"message_id"`
	}
	Text                                   struct{ Body string }
	Image, Video, Audio, Document, Sticker *arrivedFile
	Location                               *gateway.Location
	Contacts                               []struct {
		Name struct {
			Formatted string `json:"formatted_name"`
		}
		Phones []struct{ Phone string }
	}
	Reaction *struct {
		MessageID string `json:"message_id"`
		Emoji     string
	}
	Interactive *arrivedOffer
	Template    json.RawMessage
}

type arrivedFile struct {
	ID, Link, Caption, FileName string
	Voice                       bool
}

type arrivedOffer struct {
	Type                 string
	Header, Body, Footer struct{ Text string }
	Action               struct {
		Button   string
		Buttons  []struct{ Reply gateway.Button }
		Sections []gateway.Section
	}
}

// entryOf says what the sandbox understood in the words of the wall.
func entryOf(t *testing.T, s *sandbox.Server, e sandbox.Sent) (entry gatewaytest.Entry) {
	t.Helper()
	var m arrived
	if err := json.Unmarshal(e.Cloud.Request, &m); err != nil {
		t.Errorf("%v in %s", err, e.Cloud.Request)
	}
	entry.ID, entry.To, entry.Type, entry.QuotedID = m.Ours, e.To, m.Type, m.Context.MessageID
	if e.ID != nil {
		entry.GatewayID = *e.ID
	}
	if m.Type == gateway.TypeText {
		entry.Text = m.Text.Body
		return entry
	}
	entry.Content = &gateway.Content{Location: m.Location, Template: m.Template}
	if f := cmp.Or(m.Image, m.Video, m.Audio, m.Document, m.Sticker); f != nil {
		entry.Text, entry.Content.Media = f.Caption, f.media(s)
		if f.Voice {
			entry.Type = gateway.TypeVoice
		}
	}
	for _, c := range m.Contacts {
		card := gateway.Card{Name: c.Name.Formatted}
		for _, p := range c.Phones {
			card.Phones = append(card.Phones, p.Phone)
		}
		entry.Content.Contacts = append(entry.Content.Contacts, card)
	}
	if m.Reaction != nil {
		entry.Content.Reaction = &gateway.Reaction{To: m.Reaction.MessageID, Emoji: m.Reaction.Emoji}
	}
	if m.Interactive != nil {
		entry.Content.Interactive = m.Interactive.interactive()
	}
	return entry
}

func (f *arrivedFile) media(s *sandbox.Server) *gateway.Media {
	m := &gateway.Media{URL: f.Link, FileName: f.FileName}
	if content, mimeType, ok := s.CloudFile(f.ID); ok {
		m.Base64, m.MIMEType = base64.StdEncoding.EncodeToString(content), mimeType
	}
	return m
}

func (o *arrivedOffer) interactive() *gateway.Interactive {
	i := &gateway.Interactive{
		Kind: "list", Header: o.Header.Text, Body: o.Body.Text, Footer: o.Footer.Text,
		Button: o.Action.Button, Sections: o.Action.Sections,
	}
	for _, b := range o.Action.Buttons {
		i.Kind = "buttons"
		i.Buttons = append(i.Buttons, b.Reply)
	}
	return i
}
