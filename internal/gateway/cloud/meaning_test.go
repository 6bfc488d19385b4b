package cloud_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/msgorch/msgorch/internal/gateway"
	"github.com/msgorch/msgorch/internal/gateway/cloud"
)

// webhook is a body with changes of one number.
func webhook(changes ...string) string {
	return `{"object":"whatsapp_business_account","entry":[{"id":"2","changes":[` + strings.Join(changes, ",") + `]}]}`
}

// change is one change of the number 100, whose digits are 15550000001.
func change(field, lists string) string {
	return fmt.Sprintf(`{"field":%q,"value":{"messaging_product":"whatsapp","metadata":{"display_phone_number":"+1 555-000-0001","phone_number_id":"100"},%s}}`, field, lists)
}

func decode(t *testing.T, body string) gateway.Update {
	t.Helper()
	var d cloud.Decoder
	e, err := d.Open([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	u, err := d.Decode(e.Event, e.Body)
	if err != nil {
		t.Fatal(err)
	}
	mustBeStorable(t, u)
	return u
}

// says compares an update with what it should say, less what is empty.
func says(t *testing.T, want, got gateway.Update) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("update (-want +got):\n%s", diff)
	}
}

func TestDecodeKnowsAPersonByEveryAddress(t *testing.T) {
	t.Parallel()
	const phone, bsuid = "5215550001001@s.whatsapp.net", "MX.134@bsuid"
	tests := []struct {
		name              string
		contacts, message string // members of both
		chat, alt, sender string
		push              string
	}{
		{"a number", ``, `"from":"5215550001001"`, phone, "", "", ""},
		{"a number with a plus", ``, `"from":"+5215550001001"`, phone, "", "", ""},
		{"a user id", ``, `"from_user_id":"MX.134"`, bsuid, "", "", ""},
		{"both", ``, `"from":"5215550001001","from_user_id":"MX.134"`, phone, bsuid, "", ""},
		{"the other one from the contacts", `{"wa_id":"5215550001001","user_id":"MX.134"}`, `"from":"5215550001001"`, phone, bsuid, "", ""},
		{"the number from the contacts", `{"wa_id":"5215550001001","user_id":"MX.134"}`, `"from_user_id":"MX.134"`, phone, bsuid, "", ""},
		{"a number that is none", ``, `"from":"anonymous","from_user_id":"MX.134"`, bsuid, "", "", ""},
		{"contacts in another order", `{"wa_id":"1","profile":{"name":"Beto"}},{"wa_id":"5215550001001","profile":{"name":"Ana"}}`, `"from":"5215550001001"`, phone, "", "", "Ana"},
		{"another's contact", `{"wa_id":"1","user_id":"MX.9","profile":{"name":"Beto"}}`, `"from":"5215550001001"`, phone, "", "", ""},
		{"a name that is the number", `{"wa_id":"5215550001001","profile":{"name":"5215550001001"}}`, `"from":"5215550001001"`, phone, "", "", ""},
		{"a group", ``, `"from":"5215550001001","group_id":"Y2F:"`, "", "", "", ""},
		{"a group by its id", ``, `"from":"5215550001001","from_user_id":"MX.134","group_id":"Y2FwaQ=="`, "Y2FwaQ==@g.us", "", phone, ""},
		{"a group by its JID", ``, `"from_user_id":"MX.134","group_id":"120363@g.us"`, "120363@g.us", "", bsuid, ""},
		{"a group of somebody unknown", ``, `"group_id":"120363@g.us"`, "120363@g.us", "", "", ""},
		{"a group that is no text", ``, `"from":"5215550001001","group_id":7`, "", "", "", ""},
		{"no group", ``, `"from":"5215550001001","group_id":null`, phone, "", "", ""},
		{"ourselves", ``, `"from":"15550000001"`, "", "", "", ""},
		{"nobody", `{"wa_id":"5215550001001"}`, `"x":1`, "", "", "", ""},
		{"a folder", ``, `"from_user_id":"../x"`, "", "", "", ""},
		{"a long id", ``, `"from_user_id":"` + strings.Repeat("1", 151) + `"`, "", "", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			// Somebody else's message before it, whose sender must not be reused.
			u := decode(t, webhook(change("messages", `"contacts":[`+tt.contacts+`],"messages":[
				{"id":"before","from":"999999999","type":"text","text":{"body":"x"}},
				{"id":"A",`+tt.message+`,"type":"text","text":{"body":"x"}}]`)))
			if tt.chat == "" {
				if len(u.Messages) != 1 || len(u.Unusable) != 1 {
					t.Fatalf("%+v, want the first message alone and a complaint", u)
				}
				return
			}
			m := u.Messages[1]
			want := []string{tt.chat, tt.alt, tt.sender, tt.push}
			if diff := cmp.Diff(want, []string{m.Chat, m.ChatAlt, m.Sender, m.PushName}); diff != "" {
				t.Errorf("chat, other, sender, name (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDecodeLearnsWhoSomebodyIsNow(t *testing.T) {
	t.Parallel()
	system := func(members, system string) string {
		return webhook(change("messages", `"messages":[{"id":"A","type":"system",`+members+`"system":{`+system+`}}]`))
	}
	renamed := func(update string) string {
		return webhook(change("user_id_update", `"contacts":[{"wa_id":"1001","profile":{"name":"Ana"}}],"user_id_update":[{`+update+`}]`))
	}
	tests := []struct {
		name    string
		body    string
		want    gateway.Contact
		message bool
	}{
		{"another number", system(`"from":"1001",`, `"type":"user_changed_number","wa_id":"1077"`), gateway.Contact{JID: "1077@s.whatsapp.net", Aliases: []string{"1001@s.whatsapp.net"}}, true},
		{"another number, before version 12", system(`"from":"1001",`, `"type":"customer_changed_number","new_wa_id":"1077"`), gateway.Contact{JID: "1077@s.whatsapp.net", Aliases: []string{"1001@s.whatsapp.net"}}, true},
		{"another number and user id", system(`"from":"1001","from_user_id":"MX.1",`, `"type":"user_changed_number","wa_id":"1077","user_id":"MX.2"`), gateway.Contact{JID: "1077@s.whatsapp.net", Aliases: []string{"MX.2@bsuid", "1001@s.whatsapp.net", "MX.1@bsuid"}}, true},
		{"another user id", system(`"from_user_id":"MX.1",`, `"type":"user_changed_user_id","user_id":"MX.2"`), gateway.Contact{JID: "MX.2@bsuid", Aliases: []string{"MX.1@bsuid"}}, true},
		{"a user id's update", renamed(`"user_id":{"previous":"MX.1","current":"MX.2"}`), gateway.Contact{JID: "MX.2@bsuid", Aliases: []string{"MX.1@bsuid"}}, false},
		{"a user id's update with a number", renamed(`"wa_id":"1001","user_id":{"previous":"MX.1","current":"MX.2"}`), gateway.Contact{JID: "1001@s.whatsapp.net", Name: "Ana", Aliases: []string{"MX.2@bsuid", "MX.1@bsuid"}}, false},
		{"a user id's update in resellers' words", renamed(`"wa_id":"1001","old_user_id":"MX.1","new_user_id":"MX.2"`), gateway.Contact{JID: "1001@s.whatsapp.net", Name: "Ana", Aliases: []string{"MX.2@bsuid", "MX.1@bsuid"}}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			u := decode(t, tt.body)
			tt.want.Account = "100"
			found := false
			for _, c := range u.Contacts {
				found = found || cmp.Equal(tt.want, c)
			}
			if !found {
				t.Errorf("contacts %+v, want %+v among them", u.Contacts, tt.want)
			}
			if got := len(u.Messages) == 1; got != tt.message {
				t.Errorf("messages %+v, want one: %v", u.Messages, tt.message)
			}
		})
	}
	// That they moved is known, from where is not: nothing to do, nothing wrong.
	says(t, gateway.Update{}, decode(t, system("", `"type":"user_changed_user_id","user_id":"MX.2"`)))
}

func TestDecodeReadsEditsAndDeletions(t *testing.T) {
	t.Parallel()
	at := time.Unix(1763880000, 0).UTC()
	const edit = `{"id":"E","from":"1001","timestamp":"1763880000","type":"edit","edit":{"original_message_id":"A","message":{"type":"%s","%[1]s":{%s}}}}`
	const revoke = `{"id":"R","from":"1001","to":"1002","timestamp":1763880000,"type":"revoke","revoke":{"original_message_id":"B"}}`
	u := decode(t, webhook(
		change("messages", `"messages":[`+fmt.Sprintf(edit, "text", `"body":"nuevo"`)+`,`+fmt.Sprintf(edit, "image", `"id":"9","caption":"pie"`)+`,`+revoke+`]`),
		change("smb_message_echoes", `"message_echoes":[`+revoke+`]`),
		change("messages", `"messages":[`+fmt.Sprintf(edit, "order", ``)+`,`+fmt.Sprintf(edit, "text", ``)+`,{"type":"edit"},{"type":"revoke"}]`),
	))
	says(t, gateway.Update{
		Handled: true,
		Edits: []gateway.Edit{
			{Account: "100", MessageID: "A", Text: "nuevo", At: at},
			{Account: "100", MessageID: "A", Text: "pie", At: at},
		},
		Deletions: []gateway.Deletion{{Account: "100", MessageID: "B", At: at}, {Account: "100", MessageID: "B", At: at}},
		Unusable: []string{
			"entry[0].changes[2].value.messages[0]: An edit does not say what the message says now.",
			"entry[0].changes[2].value.messages[1]: A message lacks what its type promises.",
			"entry[0].changes[2].value.messages[2]: A message has no id.",
			"entry[0].changes[2].value.messages[3]: A message has no id.",
		},
	}, u)
}

func TestDecodeReadsTheHistory(t *testing.T) {
	t.Parallel()
	message := func(id, members string) string {
		return `{"id":"` + id + `",` + members + `,"type":"text","text":{"body":"x"},"history_context":{"status":"DELIVERED"}}`
	}
	u := decode(t, webhook(change("history", `"history":[
		{"metadata":{"phase":0,"chunk_order":2},"threads":[
			{"id":"1001","messages":[`+message("A", `"from":"1001"`)+`,`+message("B", `"from":"15550000001","to":"1001"`)+`,`+message("C", `"from":"777"`)+`]},
			{"context":{"user_id":"MX.1"},"messages":[`+message("D", `"from_user_id":"MX.1"`)+`]},
			{"messages":[]}]},
		{"errors":[{"code":2593109,"title":"History sharing is turned off"}]},
		{"metadata":{}}]`), change("history", `"messages":[`+message("E", `"from":"1001"`)+`],"message_echoes":[`+message("F", `"from":"15550000001","to":"1001"`)+`]`)))
	type short struct {
		ID, Chat, Status string
		FromMe           bool
	}
	var got []short
	for _, m := range u.Messages {
		if !m.History {
			t.Errorf("%s is not from the history", m.ID)
		}
		got = append(got, short{m.ID, m.Chat, string(m.Status), m.FromMe})
	}
	want := []short{
		{"A", "1001@s.whatsapp.net", "", false},
		{"B", "1001@s.whatsapp.net", "delivered", true},
		{"D", "MX.1@bsuid", "", false},
		{"E", "1001@s.whatsapp.net", "", false},
		{"F", "1001@s.whatsapp.net", "delivered", true},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
	unusable := []string{
		"entry[0].changes[0].value.history[0].threads[0].messages[2]: A message of the history does not say who wrote it.",
		"entry[0].changes[0].value.history[0].threads[2]: A thread of the history does not say whose it is.",
		"entry[0].changes[0].value.history[1].errors[0]: The Cloud API reports error 2593109: History sharing is turned off",
		"entry[0].changes[0].value.history[2]: A piece of the history has no threads.",
	}
	if diff := cmp.Diff(unusable, u.Unusable); diff != "" {
		t.Errorf("unusable (-want +got):\n%s", diff)
	}
}

func TestDecodeReadsHowFarAnOldMessageHadCome(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]gateway.Status{
		"PENDING": gateway.StatusAccepted, "SENT": gateway.StatusSent, "DELIVERED": gateway.StatusDelivered,
		"READ": gateway.StatusRead, "PLAYED": gateway.StatusPlayed, "ERROR": gateway.StatusFailed, "read": "", "": "",
	} {
		u := decode(t, webhook(change("history", `"message_echoes":[{"id":"A","to":"1001","type":"text","text":{"body":"x"},"history_context":{"status":"`+name+`"}}]`)))
		if got := u.Messages[0].Status; got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestDecodeKeepsAccountsApart(t *testing.T) {
	t.Parallel()
	const message = `"messages":[{"id":"A","from":"1001","type":"text","text":{"body":"x"}}],"contacts":[{"wa_id":"1001","profile":{"name":"Ana"}}]`
	one := change("messages", message)
	u := decode(t, webhook(one, strings.Replace(one, `"phone_number_id":"100"`, `"phone_number_id":"200"`, 1), one))
	var got []string
	for _, m := range u.Messages {
		got = append(got, m.Account+" "+m.ID)
	}
	for _, c := range u.Contacts {
		got = append(got, c.Account+" "+c.Name)
	}
	if diff := cmp.Diff([]string{"100 A", "200 A", "100 Ana", "200 Ana"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A body that is all right apart from some of it gives the rest; one of which
// nothing can be used is refused for what is wrong first.
func TestDecodeComplainsOnlyWhenNothingIsLeft(t *testing.T) {
	t.Parallel()
	const unknown = `{"field":"never_seen","value":{}}`
	const known = `{"field":"account_update","value":{}}`
	good := change("messages", `"statuses":[{"id":"A","status":"read"}]`)
	bad := change("messages", `"statuses":[{"id":"A","status":"warped"}]`)
	tests := []struct {
		name    string
		body    string
		code    string
		unusual int
	}{
		{"known and meaningless", webhook(known), "", 0},
		{"unknown", webhook(unknown), "unknown_event", 0},
		{"unknown beside meaningless", webhook(known, unknown), "unknown_event", 0},
		{"unknown beside good", webhook(unknown, good), "", 1},
		{"bad beside good", webhook(bad, good), "", 1},
		{"bad", webhook(bad, unknown), "unknown_status", 0},
		{"no changes", webhook(), "missing_changes", 0},
		{"nothing said", webhook(change("messages", `"user_actions":[]`)), "malformed_data", 0},
		{"empty lists", webhook(change("messages", `"statuses":[],"messages":null`)), "", 0},
		{"a list that is none", webhook(change("messages", `"statuses":7`), good), "", 1},
		{"no metadata", webhook(`{"field":"messages","value":{"statuses":[{"id":"A","status":"read"}]}}`), "missing_account", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			u, err := cloud.Decoder{}.Decode("", []byte(tt.body))
			if code(err) != tt.code || len(u.Unusable) != tt.unusual {
				t.Errorf("code %q, %q; want %q and %d", code(err), u.Unusable, tt.code, tt.unusual)
			}
		})
	}
	u := decode(t, webhook(good, change("messages", `"statuses":[`+series(1000, `{"id":"%d%d"}`)+`]`)))
	if len(u.Unusable) != 101 || u.Unusable[100] != "And 900 more." {
		t.Errorf("%d complaints, the last one %q; want 101, And 900 more.", len(u.Unusable), u.Unusable[len(u.Unusable)-1])
	}
}
