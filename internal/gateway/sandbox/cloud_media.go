package sandbox

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// Bounds of the files that the sandbox keeps; the oldest go first.
const (
	maxFileBytes    = 100 << 20 // Meta's for documents
	maxFilesBytes   = 256 << 20
	fileURLLifetime = 5 * time.Minute
)

// cloudFile is one that was uploaded by us or sent to us. It never changes.
type cloudFile struct {
	id       string
	number   *cloudNumber
	mimeType string
	content  []byte
	sum      [sha256.Size]byte
}

// cloudFiles keeps the newest files. The zero value is empty.
type cloudFiles struct {
	mu    sync.Mutex
	byID  map[string]*cloudFile
	order []*cloudFile
	bytes int64
	last  int64
}

// add keeps a file and gives it an id.
func (fs *cloudFiles) add(n *cloudNumber, mimeType string, content []byte) *cloudFile {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if fs.byID == nil {
		fs.byID = map[string]*cloudFile{}
		fs.last = time.Now().UnixMicro() // so that a restarted sandbox does not repeat ids
	}
	fs.last++
	f := &cloudFile{id: strconv.FormatInt(fs.last, 10), number: n, mimeType: mimeType, content: content, sum: sha256.Sum256(content)}
	fs.byID[f.id], fs.order = f, append(fs.order, f)
	for fs.bytes += int64(len(content)); fs.bytes > maxFilesBytes; fs.order = fs.order[1:] {
		oldest := fs.order[0]
		fs.bytes -= int64(len(oldest.content))
		delete(fs.byID, oldest.id)
	}
	return f
}

// get returns nil for a file that is not known, or no longer.
func (fs *cloudFiles) get(id string) *cloudFile {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return fs.byID[id]
}

// CloudFile returns a file that was uploaded to a number or sent to it. ok is
// false when there is none of that id. The content must not be changed.
func (s *Server) CloudFile(id string) (content []byte, mimeType string, ok bool) {
	f := s.cloud.files.get(id)
	if f == nil {
		return nil, "", false
	}
	return f.content, f.mimeType, true
}

// graphUpload takes a file and answers with its id.
func (s *Server) graphUpload(w http.ResponseWriter, r *http.Request) {
	n, no := s.admit(s.faults.Load(), r, r.PathValue("number"))
	if n == nil {
		s.writeGraph(w, no.status, no.message)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxFileBytes+1<<20)
	form, err := readForm(r)
	if err != nil {
		code := graphInvalid
		if errors.Is(err, errTooLarge) {
			code = graphUpload
		}
		no := refusalOf(OutcomeInvalid, code, err.Error())
		s.writeGraph(w, no.status, no.message)
		return
	}
	writeJSON(w, http.StatusOK, map[string]string{"id": s.cloud.files.add(n, form.mimeType, form.content).id})
}

var errTooLarge = errors.New("the file is too large")

// uploadForm is what POST /{phone_number_id}/media takes.
type uploadForm struct {
	product  string
	mimeType string
	content  []byte
}

// readForm says in words what is wrong.
func readForm(r *http.Request) (form uploadForm, err error) {
	parts, err := r.MultipartReader()
	if err != nil {
		return form, errors.New("the body is not multipart/form-data")
	}
	for {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			return form, form.validate()
		}
		if err != nil {
			return form, fmt.Errorf("the form cannot be read: %w", err)
		}
		if err := form.add(part); err != nil {
			return form, err
		}
	}
}

func (u *uploadForm) add(part *multipart.Part) error {
	value, err := io.ReadAll(io.LimitReader(part, maxFileBytes+1))
	if err != nil {
		return fmt.Errorf("the form cannot be read: %w", err)
	}
	switch part.FormName() {
	case "messaging_product":
		u.product = string(value)
	case "type":
		u.mimeType = cmp.Or(string(value), u.mimeType)
	case "file":
		u.content = value
		u.mimeType = cmp.Or(u.mimeType, part.Header.Get("Content-Type"))
	}
	return nil
}

func (u *uploadForm) validate() error {
	switch {
	case u.product != "whatsapp":
		return errors.New("the parameter messaging_product is required")
	case u.content == nil:
		return errors.New("the parameter file is required")
	case u.mimeType == "":
		return errors.New("the parameter type is required")
	case len(u.content) > maxFileBytes:
		return errTooLarge
	}
	return nil
}

// graphFileInfo says where a file is, for five minutes.
func (s *Server) graphFileInfo(w http.ResponseWriter, r *http.Request, f *cloudFile) {
	asked := cmp.Or(r.URL.Query().Get("phone_number_id"), f.number.id)
	n, no := s.admit(s.faults.Load(), r, asked)
	if n != nil && n != f.number {
		n, no = nil, noObject("get", f.id)
	}
	if n == nil {
		s.writeGraph(w, no.status, no.message)
		return
	}
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	writeJSON(w, http.StatusOK, struct {
		Product  string `json:"messaging_product"`
		URL      string `json:"url"`
		MIMEType string `json:"mime_type"`
		SHA256   string `json:"sha256"` // in hexadecimal, unlike in webhooks
		Bytes    int    `json:"file_size"`
		ID       string `json:"id"`
	}{
		"whatsapp", fmt.Sprintf("%s://%s/graph/files/%s?ext=%d", scheme, r.Host, f.id, time.Now().Add(fileURLLifetime).Unix()),
		f.mimeType, hex.EncodeToString(f.sum[:]), len(f.content), f.id,
	})
}

// graphFile serves the bytes of a file to who has the credential, until the
// address expires.
func (s *Server) graphFile(w http.ResponseWriter, r *http.Request) {
	f := s.cloud.files.get(r.PathValue("file"))
	until, err := strconv.ParseInt(r.URL.Query().Get("ext"), 10, 64)
	if f == nil || err != nil || time.Now().Unix() > until {
		http.Error(w, "Not Found", http.StatusNotFound)
		return
	}
	r.SetPathValue("version", "v1.0") // this address has none
	if n, _ := s.admit(s.faults.Load(), r, f.number.id); n == nil {
		http.Error(w, http.StatusText(http.StatusUnauthorized), http.StatusUnauthorized)
		return
	}
	if s.dice.hit(s.faults.Load().MediaError) {
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", f.mimeType)
	w.Header().Set("Content-Length", strconv.Itoa(len(f.content)))
	_, _ = w.Write(f.content)
}
