package cloud

import (
	"bytes"
	"context"
	"mime/multipart"
	"net/http"
	"net/textproto"

	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/wire"
)

// upload hands a file to Meta, which keeps it for 30 days, and returns its id.
// Whatever goes wrong: no message has been sent, so what would be in doubt can be
// tried again.
func (s *Sender) upload(ctx context.Context, to gateway.Account, f file) (id string, _ *refusal) {
	form, contentType := formOf(f)
	reply, refused := s.call(ctx, to, http.MethodPost, edgeOf(to, "media"), contentType, form)
	if refused == nil {
		if id := mediaIDIn(reply); id != "" {
			return id, nil
		}
		refused = judge(reply)
		if refused.code == "no_message_id" {
			refused.code = "no_media_id"
		}
	}
	if refused.outcome == gateway.InDoubt {
		refused.outcome = gateway.Retry
	}
	return "", refused
}

func mediaIDIn(reply *wire.Reply) string {
	body, err := wire.Open(reply.Body)
	if err != nil || reply.Status/100 != 2 {
		return ""
	}
	if id := body.Text("id"); isGraphID(id) {
		return id
	}
	return ""
}

// formOf writes the form of POST /{phone_number_id}/media. The file's name there
// is shown to nobody: what a document is called is said by its message.
func formOf(f file) (form *bytes.Buffer, contentType string) {
	form = new(bytes.Buffer)
	w := multipart.NewWriter(form)
	// A bytes.Buffer takes everything, so none of these can fail.
	_ = w.WriteField("messaging_product", product)
	_ = w.WriteField("type", f.mimeType)
	part, _ := w.CreatePart(textproto.MIMEHeader{
		"Content-Disposition": {`form-data; name="file"; filename="file"`},
		"Content-Type":        {f.mimeType},
	})
	_, _ = part.Write(f.bytes)
	_ = w.Close()
	return form, w.FormDataContentType()
}
