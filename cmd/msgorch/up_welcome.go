package main

import (
	"os"
	"path/filepath"
)

// welcome says where everything is and what to try.
func (a *app) welcome(s *setting) {
	u := s.urls
	a.say("\nMsgOrch is up.\n\n")
	a.say("  API       %s  (browse it at %s)\n", u.API, u.Docs)
	a.say("  operator  %s  (queues at %s)\n", u.Operator, u.Queues)
	for _, w := range u.Workers {
		a.say("  worker    %s/readyz\n", w)
	}
	if u.Sandbox != "" {
		a.say("  sandbox   %s/sandbox/\n", u.Sandbox)
	}
	a.say("  token     %s\n", u.Token)
	if u.Sandbox != "" {
		a.sayWhatToTry(u)
	}
	// scripts/services leaves it there for others to find PostgreSQL and Redis.
	if env := filepath.Join(developmentFolder, "env"); exists(env) {
		a.say("\nLook at it from another terminal:\n"+
			"  set -a; . %s; SECRET_KEY=$(cat %s); ALLOW_PRIVATE_TARGETS=true; set +a\n"+
			"  bin/msgorch tail --text\n", env, keptKeyFile())
		if u.Sandbox != "" {
			a.say("\nThere, connect a number of your own, and scan it as its phone would:\n"+
				"  export EVOLUTION_BASE_URL=%s EVOLUTION_API_KEY=sandbox PUBLIC_URL=%s\n"+
				"  bin/msgorch instances connect sales\n"+
				"  curl -sS %[1]s/sandbox/session -d '{\"instance\":\"sales\",\"do\":\"scan\"}'   # in a third one\n", u.Sandbox, u.API)
		}
	}
	a.say("\nCtrl-C stops everything.\n\n")
}

func (a *app) sayWhatToTry(u urls) {
	a.say("\nSend a message:\n"+
		"  curl -sS %s/v1/messages -H 'Authorization: Bearer %s' -H 'Content-Type: application/json' \\\n"+
		"    -d '{\"instance\":\"%s\",\"to\":\"+5215550000001\",\"text\":\"Hola\"}'\n", u.API, u.Token, demoInstance)
	a.say("\nSee it:\n"+
		"  curl -sS '%s/v1/messages?instance=%s' -H 'Authorization: Bearer %s'\n", u.API, demoInstance, u.Token)
	a.say("\nHave somebody write to you:\n"+
		"  curl -sS %s/sandbox/inbound -H 'Content-Type: application/json' \\\n"+
		"    -d '{\"instance\":\"%s\",\"from\":\"+5215550000002\",\"text\":\"¿Qué tal?\"}'\n", u.Sandbox, demoInstance)
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}
