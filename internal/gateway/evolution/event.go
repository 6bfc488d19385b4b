package evolution

import "strings"

// canonicalEvent returns the lower-case, dotted name of an event. A known event
// is also found under the name it has in the gateway's configuration
// (MESSAGES_UPSERT) and in its URLs (messages-upsert). Others only become lower
// case; whether they mean anything is for Decode to say.
func canonicalEvent(name string) string {
	name = strings.ToLower(name)
	switch config := strings.Map(underscore, name); config {
	case "application_startup", "qrcode_updated", "connection_update",
		"messages_set", "messages_upsert", "messages_edited", "messages_update", "messages_delete",
		"contacts_set", "contacts_upsert", "contacts_update", "presence_update",
		"chats_set", "chats_upsert", "chats_update", "chats_delete",
		"groups_upsert", "groups_update", "group_update",
		"labels_edit", "labels_association", "typebot_start",
		"remove_instance", "logout_instance", "instance_create", "instance_delete", "status_instance":
		return strings.Replace(config, "_", ".", 1)
	case "send_message":
		return "send.message"
	case "send_message_update":
		return "send.message.update"
	case "group_participants_update":
		return "group-participants.update"
	case "typebot_change_status":
		return "typebot.change-status"
	case "messaging_history_set":
		return "messaging-history.set"
	}
	return name
}

func underscore(r rune) rune {
	if r == '.' || r == '-' {
		return '_'
	}
	return r
}

// isIgnored reports whether an event is one the gateway is known to send and
// says nothing that anything of ours depends on.
func isIgnored(event string) bool {
	switch event {
	case "application.startup", "chats.delete", "creds.update", "error",
		"logout.instance", "messaging-history.set", "remove.instance":
		return true
	}
	family, _, dotted := strings.Cut(event, ".")
	if !dotted {
		return false
	}
	switch family {
	case "groups", "instance", "labels", "typebot":
		return true
	}
	return false
}
