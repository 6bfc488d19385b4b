package db_test

import (
	"testing"

	"github.com/msgorch/msgorch/internal/address"
	"github.com/msgorch/msgorch/internal/testenv"
)

func TestPostgreSQLAndGoAgreeOnTheFormOfANumber(t *testing.T) {
	t.Parallel()
	pool := testenv.Pool(t)
	var jids []string
	for _, country := range []string{"52", "521", "54", "549", "5511", "55119", "5528", "55289", "5529", "55319", "5599", "34", "1"} {
		for _, rest := range []string{"5550001001", "87654321", "987654321", "33334444", "933334444", "9876543210", "1155550001"} {
			jids = append(jids, country+rest+"@s.whatsapp.net", country+rest+"@lid")
		}
	}
	jids = append(jids, "120363000000000001@g.us", "MX.abc@bsuid", "", "52555000100x@s.whatsapp.net", "525550001001@s_whatsapp.net")
	for _, jid := range jids {
		var got string
		if err := pool.QueryRow(t.Context(), "SELECT address_of($1)", jid).Scan(&got); err != nil {
			t.Fatal(err)
		}
		if want := address.Of(jid); got != want {
			t.Errorf("address_of(%q) = %q, want %q", jid, got, want)
		}
	}
}

// A program of the version before knows nothing of addresses, and may run beside
// this one while it is being replaced.
func TestAChatMadeWithoutAnAddressGetsOne(t *testing.T) {
	t.Parallel()
	pool := testenv.Pool(t)
	_, err := pool.Exec(t.Context(), `
		INSERT INTO instances (name, gateway) VALUES ('sales', 'sandbox');
		INSERT INTO chats (instance_id, jid) VALUES (1, '525550001001@s.whatsapp.net'), (1, '5215550001001@s.whatsapp.net')`)
	if err != nil {
		t.Fatal(err)
	}
	var got string
	err = pool.QueryRow(t.Context(), `SELECT (SELECT string_agg(address || ' ' || chat_id, ',') FROM addresses)
		|| ' merging ' || (SELECT string_agg(chat_id || ' into ' || into_id, ',') FROM chat_merges)`).Scan(&got)
	if want := "5215550001001@s.whatsapp.net 1 merging 2 into 1"; err != nil || got != want {
		t.Errorf("%s, %v, want %s", got, err, want)
	}
}
