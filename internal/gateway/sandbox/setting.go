package sandbox

import "net/http"

// habits are an instance's settings.
type habits struct {
	RejectCall      bool   `json:"rejectCall"`
	MsgCall         string `json:"msgCall"`
	GroupsIgnore    bool   `json:"groupsIgnore"`
	AlwaysOnline    bool   `json:"alwaysOnline"`
	ReadMessages    bool   `json:"readMessages"`
	ReadStatus      bool   `json:"readStatus"`
	SyncFullHistory bool   `json:"syncFullHistory"`
}

func (in *instance) manners() habits {
	if h := in.habits.Load(); h != nil {
		return *h
	}
	return habits{}
}

func (s *Server) setSettings(w http.ResponseWriter, r *http.Request, in *instance) {
	var call habits
	if !readCall(w, r, &call) {
		return
	}
	in.habits.Store(&call)
	writeJSON(w, http.StatusCreated, call)
}

func (s *Server) findSettings(w http.ResponseWriter, _ *http.Request, in *instance) {
	writeJSON(w, http.StatusOK, in.manners())
}

// hello says which version this is; anybody may ask.
func (s *Server) hello(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]any{
		"status": http.StatusOK, "message": "Welcome to the Evolution API, it is working!", "version": s.opts.Version,
	})
}
