package main

import (
	"fmt"
	"strings"

	"github.com/msgorch/msgorch/internal/gateway/evolution"
)

// advice warns of what can be seen at a gateway and is known to lose messages, or
// to tell too much, a line each. What cannot be seen is in docs/operate.md.
func advice(version string, i evolution.Instance) []string {
	all := []string{}
	warn := func(is bool, format string, args ...any) {
		if is {
			all = append(all, fmt.Sprintf(format, args...))
		}
	}
	if loss := lossOf(version); loss != "" {
		warn(true, "Evolution API %s %s: update it to 2.3.7", printable(version), loss)
	}
	warn(version == "", "the gateway does not say its version; 2.3.7 is the one to use")
	warn(strings.HasPrefix(version, "2.4."), "Evolution API %s answers 503 to everything until its licence is activated: see that it stays so", printable(version))
	s := i.Settings
	warn(s.ReadMessages, "readMessages is on: people see that a message was read before anybody did; turn it off with POST /settings/set")
	warn(s.ReadStatus, "readStatus is on: people see that their stories were watched; turn it off with POST /settings/set")
	warn(s.SyncFullHistory, "syncFullHistory is on: years of messages come at once, and new ones wait behind them; turn it off when it has synced once")
	warn(s.GroupsIgnore, "groupsIgnore is on: what is written in groups does not come; turn it off with POST /settings/set if it should")
	warn(len(i.Others) > 0, "%s hears of this instance too, and may answer or mark as read what is yours: turn off what is not needed", strings.Join(i.Others, ", "))
	warn(i.Token != "", "the gateway shows the instance's key to whoever lists it: once this command has run, set AUTHENTICATION_EXPOSE_IN_FETCH_INSTANCES=false there")
	return all
}

// lossOf says what a version does to messages; empty if nothing is known.
func lossOf(version string) string {
	var major, minor, patch int
	if n, _ := fmt.Sscanf(version, "%d.%d.%d", &major, &minor, &patch); n < 3 || major != 2 {
		return ""
	}
	switch {
	case minor < 3:
		return "tells edits and deletions without saying which, and gives up on a webhook after ten tries, 30 seconds apart"
	case minor == 3 && patch <= 5:
		return "takes edits for deletions, and drops a message whose id came within five minutes before"
	case minor == 3 && patch == 6:
		return "drops a message whose id came in any chat within five minutes before"
	}
	return ""
}
