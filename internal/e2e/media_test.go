package e2e_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/msgorch/msgorch/internal/gateway/sandbox"
	"github.com/msgorch/msgorch/internal/testenv"
)

// photo is a PNG of some size: what follows the picture does not matter.
func photo(t *testing.T, bytesMore int) []byte {
	t.Helper()
	head, err := base64.StdEncoding.DecodeString(picture)
	if err != nil {
		t.Fatal(err)
	}
	return append(head, bytes.Repeat([]byte("0123456789abcdef"), bytesMore/16)...)
}

// receiveFile has somebody send a file through Evolution API.
func (s *system) receiveFile(instance string, file []byte, about map[string]any) {
	s.tb.Helper()
	message, err := json.Marshal(map[string]any{"imageMessage": about, "base64": file})
	if err != nil {
		s.tb.Fatal(err)
	}
	if _, err := s.gateway.Receive(sandbox.Inbound{Instance: instance, From: "5215550000001", Message: message}); err != nil {
		s.tb.Fatal(err)
	}
}

// awaitFile waits for the one message that came in and its file's state, and
// returns both.
func (s *system) awaitFile(instance, state string) (message, media map[string]any) {
	s.tb.Helper()
	eventually(s.tb, "the file is "+state, func() bool {
		list := s.list("/v1/messages?direction=inbound&instance=" + instance)
		if len(list) != 1 {
			return false
		}
		message = list[0]
		media, _ = message["media"].(map[string]any)
		return media["state"] == state
	})
	return message, media
}

// download gets a path of the API as it is.
func (s *system) download(path string, header http.Header) (int, http.Header, []byte) {
	s.tb.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.tb.Context()), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.api.addr["public"]+path, http.NoBody)
	if err != nil {
		s.tb.Fatal(err)
	}
	req.Header = http.Header{"Authorization": {"Bearer " + apiToken}}
	maps.Copy(req.Header, header)
	resp, err := http.DefaultClient.Do(req) //nolint:forbidigo // a test's own calls
	if err != nil {
		s.tb.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		s.tb.Fatal(err)
	}
	return resp.StatusCode, resp.Header, body
}

// flush has Redis forget everything.
func (s *system) flush() {
	s.tb.Helper()
	opt, err := redis.ParseURL(s.redis)
	if err != nil {
		s.tb.Fatal(err)
	}
	rdb := redis.NewClient(opt)
	defer rdb.Close()
	if err := rdb.FlushDB(s.tb.Context()).Err(); err != nil {
		s.tb.Fatal(err)
	}
}

func sumOf(file []byte) string {
	sum := sha256.Sum256(file)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// Both gateways refuse the file twice, Redis forgets it and the worker is killed;
// it arrives all the same.
func TestAFileArrivesWhateverHappens(t *testing.T) {
	t.Parallel()
	file := photo(t, 1<<20)
	gateways := map[string]func(*system){
		"evolution": func(s *system) {
			s.instance("sales")
			s.receiveFile("sales", file, map[string]any{"mimetype": "application/x-lies", "fileName": "../señal\n.png", "fileSha256": sumOf(file)})
		},
		"cloud": func(s *system) {
			s.cloud("sales")
			_, err := s.gateway.ReceiveOnCloud(sandbox.CloudInbound{
				PhoneNumberID: "106540352242922", From: "5215550000001",
				Message: json.RawMessage(`{"type":"document","document":{"filename":"../señal\n.png"}}`),
				File:    &sandbox.CloudUpload{MIMEType: "application/x-lies", Content: file},
			})
			if err != nil {
				s.tb.Fatal(err)
			}
		},
	}
	for name, receive := range gateways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, options{})
			f := sandbox.DefaultFaults()
			f.MediaError = 1
			if err := s.gateway.SetFaults(f); err != nil {
				t.Fatal(err)
			}
			receive(s)
			m, media := s.awaitFile("sales", "pending")
			path := fmt.Sprintf("/v1/messages/%v/media", m["id"])
			status, header, body := s.download(path, nil)
			if status != http.StatusConflict || header.Get("Retry-After") == "" || !strings.Contains(string(body), "media_pending") {
				t.Errorf("before it is there: %d %s", status, body)
			}
			eventually(t, "it was tried twice", func() bool {
				_, media = s.awaitFile("sales", "pending")
				fetch, _ := media["fetch"].(map[string]any)
				n, _ := fetch["attempts"].(float64)
				return n >= 2 && fetch["error"] != nil && fetch["duration_ms"] != nil && fetch["attempted_at"] != nil
			})
			_ = s.workers[0].cmd.Process.Kill()
			s.workers[0].wait()
			s.flush()
			if err := s.gateway.SetFaults(sandbox.DefaultFaults()); err != nil {
				t.Fatal(err)
			}
			s.startWorker()

			_, media = s.awaitFile("sales", "kept")
			if media["url"] != path || media["mime_type"] != "image/png" || media["size"] != float64(len(file)) || media["sha256"] != sumOf(file) {
				t.Errorf("it is shown as %v", media)
			}
			s.checkDownload(path, file)
		})
	}
}

func (s *system) checkDownload(path string, want []byte) {
	s.tb.Helper()
	status, header, body := s.download(path, nil)
	if status != http.StatusOK || !bytes.Equal(want, body) {
		s.tb.Errorf("download: %d, %d bytes, want 200 and the %d that were sent", status, len(body), len(want))
	}
	for name, value := range map[string]string{
		"Content-Type": "image/png", "Content-Length": fmt.Sprint(len(want)), "X-Content-Type-Options": "nosniff",
		"Content-Security-Policy": "sandbox; default-src 'none'", "Content-Disposition": "attachment; filename*=utf-8''_se%C3%B1al%20.png",
	} {
		if got := header.Get(name); got != value {
			s.tb.Errorf("%s: %q, want %q", name, got, value)
		}
	}
	if status, _, part := s.download(path, http.Header{"Range": {"bytes=10-19"}}); status != http.StatusPartialContent || !bytes.Equal(want[10:20], part) {
		s.tb.Errorf("a part: %d %q", status, part)
	}
	if status, _, _ := s.download(path, http.Header{"If-None-Match": {header.Get("Etag")}}); status != http.StatusNotModified {
		s.tb.Errorf("with its ETag: %d, want 304", status)
	}
}

func TestAFileThatIsNotKeptSaysWhy(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		file  []byte
		about map[string]any
		code  string
	}{
		"too large":           {photo(t, 1<<20), map[string]any{"fileLength": 10}, "media_too_large"},
		"not what was sent":   {photo(t, 0), map[string]any{"fileSha256": sumOf([]byte("another"))}, "media_altered"},
		"gone at the gateway": {nil, map[string]any{}, "media_gone"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, options{env: []string{"MAX_MEDIA_BYTES=65536"}})
			s.instance("sales")
			s.receiveFile("sales", tt.file, tt.about)
			m, media := s.awaitFile("sales", "failed")
			fetch, _ := media["fetch"].(map[string]any)
			why, _ := fetch["error"].(map[string]any)
			if why["code"] != tt.code {
				t.Errorf("it failed of %v, want %s", why, tt.code)
			}
			status, _, body := s.download(fmt.Sprintf("/v1/messages/%v/media", m["id"]), nil)
			if status != http.StatusGone || !strings.Contains(string(body), "media_failed") || !strings.Contains(string(body), tt.code) {
				t.Errorf("download: %d %s, want 410 with the reason", status, body)
			}
		})
	}
}

func TestAMessageWithoutAFileHasNone(t *testing.T) {
	t.Parallel()
	s := start(t, options{noWorkers: true})
	s.instance("sales")
	m := s.send("sales", "+5215550000001", "Hola")
	if status, _, body := s.download(fmt.Sprintf("/v1/messages/%v/media", m["id"]), nil); status != http.StatusNotFound || !strings.Contains(string(body), "no_media") {
		t.Errorf("%d %s, want 404 no_media", status, body)
	}
}

func TestADeletedMessageLeavesNoFileBehind(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	s := start(t, options{env: []string{"MEDIA_STORE=" + folder}})
	s.instance("sales")
	s.receiveFile("sales", photo(t, 0), map[string]any{})
	s.awaitFile("sales", "kept")
	pool := testenv.PoolOn(t, s.database)
	if _, err := pool.Exec(t.Context(), "DELETE FROM messages"); err != nil {
		t.Fatal(err)
	}
	s.workers[0].stop()
	s.flush() // a worker that starts asks for the hour's purge again
	s.startWorker()
	eventually(t, "row and file are gone", func() bool {
		var rows int
		if err := pool.QueryRow(t.Context(), "SELECT count(*) FROM media").Scan(&rows); err != nil {
			t.Fatal(err)
		}
		return rows == 0 && len(filesIn(t, folder)) == 0
	})
}

// filesIn lists the files below a folder.
func filesIn(t *testing.T, folder string) (names []string) {
	t.Helper()
	var look func(string)
	look = func(dir string) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if e.IsDir() {
				look(dir + "/" + e.Name())
				continue
			}
			names = append(names, dir+"/"+e.Name())
		}
	}
	look(folder)
	return names
}
