package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/msgorch/msgorch/internal/media"
	"github.com/msgorch/msgorch/internal/testenv"
)

func TestAFileIsWrittenOnce(t *testing.T) {
	t.Parallel()
	env := servers(t).and("MEDIA_STORE", t.TempDir())
	const id = "0199c2f4-0000-7000-8000-000000000001"
	_, err := testenv.PoolOn(t, env["DATABASE_URL"]).Exec(t.Context(), `
		INSERT INTO instances (name, gateway) VALUES ('sales', 'sandbox');
		INSERT INTO chats (instance_id, jid) VALUES (1, '5215550000001@s.whatsapp.net');
		INSERT INTO messages (id, instance_id, chat_id, direction, status, type, content, created_at, settled_at)
		VALUES ('`+id+`', 1, 1, 'inbound', 'received', 'image', '{"media":{"kind":"image"}}', now(), now());
		INSERT INTO media (id, message_id, gateway_id, storage_key, state, size, mime_type) VALUES ('`+id+`', '`+id+`', 'X', 'ab/x', 'kept', 8, 'image/png')`)
	if err != nil {
		t.Fatal(err)
	}
	store, err := media.Open(env["MEDIA_STORE"], media.Credentials{})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Put(t.Context(), "ab/x", strings.NewReader("the file")); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "photo.png")
	env.run(t, "messages", "media", id, "--to", name).want(t, exitOK)
	if got, err := os.ReadFile(name); string(got) != "the file" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	env.run(t, "messages", "media", id, "--to", name).want(t, exitFailed) // it is there already
	if got := env.run(t, "messages", "media", id).want(t, exitOK).stdout; got != "the file" {
		t.Errorf("on standard output: %q", got)
	}
	if got := env.run(t, "messages", "show", id).want(t, exitOK).stdout; !strings.Contains(got, "kept, 8 bytes of image/png") {
		t.Errorf("shown as %s", got)
	}
}
