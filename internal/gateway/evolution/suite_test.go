package evolution_test

import (
	"encoding/json"
	"testing"

	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/evolution"
	"github.com/msgorch/msgorch/internal/gateway/gatewaytest"
	"github.com/msgorch/msgorch/internal/gateway/sandbox"
)

func TestSenderKeepsWhatEverySenderPromises(t *testing.T) {
	t.Parallel()
	gatewaytest.Run(t, func(t *testing.T) gatewaytest.Gateway {
		t.Helper()
		s, address, set := gatewaytest.StartSandbox(t)
		return gatewaytest.Gateway{
			Sender:  evolution.NewSender(nil),
			Account: gateway.Account{Instance: "tienda demo", BaseURL: address, Credential: gatewaytest.Credential},
			Types: []string{
				gateway.TypeText, gateway.TypeImage, gateway.TypeVideo, gateway.TypeAudio, gateway.TypeVoice, gateway.TypeDocument,
				gateway.TypeSticker, gateway.TypeLocation, gateway.TypeContacts, gateway.TypeReaction, gateway.TypePoll,
				gateway.TypeInteractive,
			},
			Log: func() (log []gatewaytest.Entry) {
				for _, e := range s.Sent() {
					log = append(log, entryOf(t, e))
				}
				return log
			},
			Signs: func() (signs []gatewaytest.Sign) {
				for _, x := range s.Signs() {
					signs = append(signs, gatewaytest.Sign{Read: x.MessageID, Typing: x.Shows == "composing" || x.Shows == "recording"})
				}
				return signs
			},
			Set: set,
		}
	})
}

// entryOf says what the sandbox was asked for in the words of the wall.
func entryOf(t *testing.T, e sandbox.Sent) (entry gatewaytest.Entry) {
	t.Helper()
	entry.To, entry.Type, entry.Text = e.To, gateway.TypeText, e.Text
	if e.QuotedID != nil {
		entry.QuotedID = *e.QuotedID
	}
	if e.ID != nil {
		entry.GatewayID = *e.ID
	}
	if e.Call != "" {
		var a asked
		if err := json.Unmarshal(e.Request, &a); err != nil {
			t.Errorf("%v in %s", err, e.Request)
		}
		entry.Content = &gateway.Content{}
		entry.Type, entry.Text = a.content(e.Call, entry.Content)
	}
	return entry
}

// asked is the body of any call that is not a text's.
type asked struct {
	MediaType, Media, Audio, Sticker, MIMEType, FileName, Caption string
	Latitude, Longitude                                           float64
	Name, Address                                                 string
	Contact                                                       []struct{ FullName, PhoneNumber string }
	Key                                                           struct {
		ID     string
		FromMe bool
	}
	Reaction                                           string
	Values                                             []string
	Title, Description, Footer, FooterText, ButtonText string
	Buttons                                            []struct{ ID, DisplayText string }
	Sections                                           []struct {
		Title string
		Rows  []struct{ RowID, Title, Description string }
	}
}

// content fills in what a call says, and returns its type and text.
func (a asked) content(call string, c *gateway.Content) (kind, text string) {
	switch call {
	case "sendMedia":
		c.Media = fileFrom(a.Media)
		c.Media.MIMEType, c.Media.FileName = a.MIMEType, a.FileName
		return a.MediaType, a.Caption
	case "sendWhatsAppAudio":
		c.Media = fileFrom(a.Audio)
		return gateway.TypeVoice, ""
	case "sendSticker":
		c.Media = fileFrom(a.Sticker)
		return gateway.TypeSticker, ""
	case "sendLocation":
		c.Location = &gateway.Location{Latitude: a.Latitude, Longitude: a.Longitude, Name: a.Name, Address: a.Address}
		return gateway.TypeLocation, ""
	case "sendContact":
		for _, p := range a.Contact {
			c.Contacts = append(c.Contacts, gateway.Card{Name: p.FullName, Phones: []string{p.PhoneNumber}})
		}
		return gateway.TypeContacts, ""
	case "sendReaction":
		c.Reaction = &gateway.Reaction{To: a.Key.ID, Emoji: a.Reaction, FromMe: a.Key.FromMe}
		return gateway.TypeReaction, ""
	case "sendPoll":
		c.Poll = &gateway.Poll{Name: a.Name, Options: a.Values}
		return gateway.TypePoll, ""
	}
	c.Interactive = a.offer(call)
	return gateway.TypeInteractive, ""
}

func (a asked) offer(call string) *gateway.Interactive {
	i := &gateway.Interactive{Kind: "buttons", Header: a.Title, Body: a.Description, Footer: a.Footer}
	if a.Description == "" {
		i.Header, i.Body = "", a.Title
	}
	for _, b := range a.Buttons {
		i.Buttons = append(i.Buttons, gateway.Button{ID: b.ID, Title: b.DisplayText})
	}
	if call == "sendList" {
		i.Kind, i.Footer, i.Button = "list", a.FooterText, a.ButtonText
	}
	for _, s := range a.Sections {
		section := gateway.Section{Title: s.Title}
		for _, r := range s.Rows {
			section.Rows = append(section.Rows, gateway.Row{ID: r.RowID, Title: r.Title, Description: r.Description})
		}
		i.Sections = append(i.Sections, section)
	}
	return i
}

// fileFrom tells a URL from base64, as the gateway does.
func fileFrom(media string) *gateway.Media {
	if len(media) > 8 && media[:8] == "https://" {
		return &gateway.Media{URL: media}
	}
	return &gateway.Media{Base64: media}
}
