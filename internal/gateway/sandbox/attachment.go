package sandbox

import (
	"net/http"
	"slices"
	"sync"
)

// attachment is what a message of ours or to us holds.
type attachment struct {
	kind     string // messageType
	name     string
	mimeType string
	caption  string
	base64   string // empty: only its address is known, and the sandbox fetches nothing
	bytes    int
}

// shelf keeps the latest files until they are too many.
type shelf struct {
	mu    sync.Mutex
	files map[fileKey]*attachment
	order []fileKey
	size  int
}

type fileKey struct {
	in *instance
	id string
}

// maxShelfBytes bounds the files, counted in base64.
const maxShelfBytes = 128 << 20

// put keeps the file of a message, and forgets the oldest ones if there is no room.
func (s *shelf) put(in *instance, id string, f *attachment) {
	if f == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.files == nil {
		s.files = map[fileKey]*attachment{}
	}
	key := fileKey{in, id}
	if old, known := s.files[key]; known {
		s.size -= len(old.base64)
	} else {
		s.order = append(s.order, key)
	}
	s.files[key] = f
	s.size += len(f.base64)
	for s.size > maxShelfBytes && len(s.order) > 1 {
		s.size -= len(s.files[s.order[0]].base64)
		delete(s.files, s.order[0])
		s.order = slices.Delete(s.order, 0, 1)
	}
}

func (s *shelf) get(in *instance, id string) *attachment {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.files[fileKey{in, id}]
}

// keyCall names messages by their keys, as several calls do.
type keyCall struct {
	ID        string `json:"id"`
	RemoteJID string `json:"remoteJid"`
	FromMe    bool   `json:"fromMe"`
}

// giveFile answers with the file of a message in base64.
func (s *Server) giveFile(w http.ResponseWriter, r *http.Request, in *instance) {
	var call struct {
		Message struct {
			Key keyCall `json:"key"`
		} `json:"message"`
	}
	if !readCall(w, r, &call) {
		return
	}
	id := call.Message.Key.ID
	if s.state(in) != stateOpen {
		writeRefusal(w, http.StatusBadRequest, []string{"Error: Connection Closed"})
		return
	}
	if s.dice.hit(s.faults.Load().MediaError) {
		writeRefusal(w, http.StatusInternalServerError, []string{"Error: Connection Closed"})
		return
	}
	f := s.files.get(in, id)
	switch {
	case f == nil && len(s.history(func(m *message) bool { return m.instance == in && m.id == id })) == 0:
		writeRefusal(w, http.StatusBadRequest, []string{"Message not found"})
		return
	case f == nil:
		writeRefusal(w, http.StatusBadRequest, []string{"The message is not of the media type"})
		return
	case f.base64 == "":
		writeRefusal(w, http.StatusBadRequest, []string{"The sandbox has not fetched the file from its URL"})
		return
	}
	type size struct {
		Bytes long `json:"fileLength"`
	}
	writeJSON(w, http.StatusCreated, struct {
		Kind     string `json:"mediaType"`
		Name     string `json:"fileName"`
		Caption  string `json:"caption"`
		Size     size   `json:"size"`
		MIMEType string `json:"mimetype"`
		Base64   string `json:"base64"`
		Buffer   any    `json:"buffer"`
	}{f.kind, f.name, f.caption, size{longOf(f.bytes)}, f.mimeType, f.base64, nil})
}

// lidServer is what follows the at sign of an address that tells no number.
const lidServer = "@lid"
