// Package deploy_test holds the ways to deploy MsgOrch against each other and
// against .env.example, so that none of them falls behind.
package deploy_test

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/google/go-cmp/cmp"
)

// required are the secrets without which compose.yaml must refuse to start.
func required() map[string]string {
	return map[string]string{
		"POSTGRES_PASSWORD": "secret",
		"API_TOKEN":         "secret",
		"ADMIN_TOKEN":       "secret",
		"WEBHOOK_TOKEN":     "secret",
		"SECRET_KEY":        "secret",
	}
}

func TestComposeNeedsEverySecret(t *testing.T) {
	t.Parallel()
	for name := range required() {
		environment := required()
		delete(environment, name)
		_, err := load(t, "../compose.yaml", environment)
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("without %s: error %v, want one that names it", name, err)
		}
	}
}

func TestVariablesAreKnown(t *testing.T) {
	t.Parallel()
	known := variables(t, "../.env.example")
	for name, service := range compose(t).Services {
		if name == "postgres" {
			continue // the image's own
		}
		for variable := range service.Environment {
			if _, ok := known[variable]; !ok {
				t.Errorf("compose.yaml, %s: %s is not in .env.example", name, variable)
			}
		}
	}
	for name, unit := range containers(t) {
		if name == "postgres" {
			continue
		}
		for _, setting := range unit["Container"]["Environment"] {
			variable, _, _ := strings.Cut(setting, "=")
			if _, ok := known[variable]; !ok {
				t.Errorf("quadlet, %s: %s is not in .env.example", name, variable)
			}
		}
	}
	for variable := range variables(t, "quadlet/msgorch.env.example") {
		if _, ok := known[variable]; !ok {
			t.Errorf("quadlet/msgorch.env.example: %s is not in .env.example", variable)
		}
	}
}

// TestSameEnvironment finds a variable that one way sets and the other forgets.
func TestSameEnvironment(t *testing.T) {
	t.Parallel()
	shared := variables(t, "quadlet/msgorch.env.example")
	// Compose gives each program what it reads; the quadlets give all of them one file.
	inCompose := map[string]bool{}
	for name, service := range compose(t).Services {
		if name == "postgres" {
			continue
		}
		for variable := range service.Environment {
			inCompose[variable] = true
		}
	}
	inQuadlet := map[string]bool{}
	for variable := range shared {
		inQuadlet[variable] = true
	}
	for name, unit := range containers(t) {
		if name == "postgres" {
			continue
		}
		for _, setting := range unit["Container"]["Environment"] {
			variable, value, _ := strings.Cut(setting, "=")
			inQuadlet[variable] = true
			inService := compose(t).Services[name].Environment[variable]
			if inService == nil || *inService != value {
				t.Errorf("%s: %s=%s in the quadlet, not so in compose.yaml", name, variable, value)
			}
		}
	}
	if diff := cmp.Diff(inCompose, inQuadlet); diff != "" {
		t.Errorf("variables, compose.yaml (-) against quadlets (+):\n%s", diff)
	}
}

// container is what both ways must agree on.
type container struct {
	Image    string
	Command  string
	Ports    []string // host:published:target
	Volumes  []string // name:folder
	Health   string
	ReadOnly bool
}

func TestSameContainers(t *testing.T) {
	t.Parallel()
	inCompose := map[string]container{}
	for name, service := range compose(t).Services {
		c := container{
			Image:    service.Image,
			Command:  strings.Join(service.Command, " "),
			ReadOnly: service.ReadOnly,
		}
		for _, port := range service.Ports {
			c.Ports = append(c.Ports, strings.Join([]string{port.HostIP, port.Published, strconv.Itoa(int(port.Target))}, ":"))
		}
		for _, volume := range service.Volumes {
			c.Volumes = append(c.Volumes, volume.Source+":"+volume.Target)
		}
		if service.HealthCheck != nil {
			c.Health = strings.TrimPrefix(strings.Join(service.HealthCheck.Test, " "), "CMD ")
		}
		inCompose[name] = c
	}
	inQuadlet := map[string]container{}
	for name, unit := range containers(t) {
		section := unit["Container"]
		c := container{
			Image:    section.one("Image"),
			Command:  section.one("Exec"),
			Ports:    section["PublishPort"],
			Health:   section.one("HealthCmd"),
			ReadOnly: section.one("ReadOnly") == "true",
		}
		for _, volume := range section["Volume"] {
			source, target, _ := strings.Cut(volume, ":")
			if _, err := os.Stat(filepath.Join("quadlet", source)); err != nil {
				t.Errorf("%s: volume %v", name, err)
			}
			source = strings.TrimSuffix(strings.TrimPrefix(source, "msgorch-"), ".volume")
			c.Volumes = append(c.Volumes, source+":"+target)
		}
		inQuadlet[name] = c
	}
	if diff := cmp.Diff(inCompose, inQuadlet); diff != "" {
		t.Errorf("compose.yaml (-) against quadlets (+):\n%s", diff)
	}
}

func TestPortsAreTheDefaults(t *testing.T) {
	t.Parallel()
	defaults := variables(t, "../.env.example")
	port := func(variable string) string {
		_, p, err := net.SplitHostPort(defaults[variable])
		if err != nil {
			t.Errorf("%s in .env.example: %v", variable, err)
		}
		return p
	}
	want := map[string][]string{
		"api":     {defaults["LISTEN_PORT"], port("ADMIN_ADDR")},
		"sandbox": {port("SANDBOX_ADDR")},
		// Several workers fit on one machine only if none publishes a port.
		"migrate": nil, "postgres": nil, "redis": nil, "worker": nil,
	}
	got := map[string][]string{}
	for name, service := range compose(t).Services {
		got[name] = nil
		for _, p := range service.Ports {
			if p.HostIP != "127.0.0.1" || p.Published != strconv.Itoa(int(p.Target)) {
				t.Errorf("%s: published as %s:%s, want 127.0.0.1:%d", name, p.HostIP, p.Published, p.Target)
			}
			got[name] = append(got[name], p.Published)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("published ports (-want +got):\n%s", diff)
	}
	listens := map[string]string{"ADMIN_ADDR": "api", "WORKER_ADDR": "worker", "SANDBOX_ADDR": "sandbox"}
	for variable, service := range listens {
		address := compose(t).Services[service].Environment[variable]
		if address == nil || *address != "0.0.0.0:"+port(variable) {
			t.Errorf("%s does not listen on 0.0.0.0:%s", variable, port(variable))
		}
	}
}

func TestQueueSurvivesRestart(t *testing.T) {
	t.Parallel()
	redis := compose(t).Services["redis"]
	if command := strings.Join(redis.Command, " "); !strings.Contains(command, "--appendonly yes") {
		t.Errorf("redis runs %q, want --appendonly yes", command)
	}
	if len(redis.Volumes) != 1 || redis.Volumes[0].Type != types.VolumeTypeVolume {
		t.Errorf("redis has volumes %v, want one that is named", redis.Volumes)
	}
}

func TestStopLeavesTimeToFinish(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"api", "worker", "sandbox"} {
		service := compose(t).Services[name]
		wait, err := time.ParseDuration(*service.Environment["SHUTDOWN_WAIT"])
		if err != nil {
			t.Fatal(err)
		}
		if service.StopGracePeriod == nil || time.Duration(*service.StopGracePeriod) <= wait {
			t.Errorf("compose.yaml, %s: stop_grace_period must exceed SHUTDOWN_WAIT, %v", name, wait)
		}
		unit := containers(t)[name]
		podman, err := time.ParseDuration(unit["Container"].one("StopTimeout") + "s")
		if err != nil || podman <= wait {
			t.Errorf("quadlet, %s: StopTimeout %v must exceed SHUTDOWN_WAIT, %v (%v)", name, podman, wait, err)
		}
		systemd, err := time.ParseDuration(unit["Service"].one("TimeoutStopSec") + "s")
		if err != nil || systemd <= podman {
			t.Errorf("quadlet, %s: TimeoutStopSec %v must exceed StopTimeout, %v (%v)", name, systemd, podman, err)
		}
	}
}

func TestSameImagesInDevelopment(t *testing.T) {
	t.Parallel()
	development, err := load(t, "../scripts/services.compose.yaml", map[string]string{"POSTGRES_PORT": "1", "REDIS_PORT": "2"})
	if err != nil {
		t.Fatal(err)
	}
	for name, service := range development.Services {
		if want := compose(t).Services[name].Image; service.Image != want {
			t.Errorf("scripts/services.compose.yaml, %s: image %s, want %s", name, service.Image, want)
		}
	}
}

func compose(t *testing.T) *types.Project {
	t.Helper()
	project, err := load(t, "../compose.yaml", required())
	if err != nil {
		t.Fatal(err)
	}
	return project
}

func load(t *testing.T, path string, environment map[string]string) (*types.Project, error) {
	t.Helper()
	return loader.LoadWithContext(t.Context(), types.ConfigDetails{
		WorkingDir:  filepath.Dir(path),
		ConfigFiles: []types.ConfigFile{{Filename: path}},
		Environment: environment,
	}, func(o *loader.Options) {
		o.SetProjectName("msgorch", true)
		o.Profiles = []string{"*"}
	})
}

// variables reads the NAME=value lines of an env file, also those that a # turns off.
func variables(t *testing.T, path string) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, line := range lines(t, path) {
		line = strings.TrimPrefix(strings.TrimPrefix(line, "#"), " ")
		name, value, ok := strings.Cut(line, "=")
		if ok && name != "" && strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == "" {
			found[name] = value
		}
	}
	if len(found) == 0 {
		t.Fatalf("%s has no variables", path)
	}
	return found
}

// A section holds the settings of one section of a systemd unit; most may be repeated.
type section map[string][]string

func (s section) one(key string) string { return strings.Join(s[key], " ") }

// containers reads the quadlets, by the name of their service in compose.yaml.
func containers(t *testing.T) map[string]map[string]section {
	t.Helper()
	paths, err := filepath.Glob("quadlet/*.container")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no quadlets: %v", err)
	}
	units := map[string]map[string]section{}
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".container")
		name = strings.TrimSuffix(strings.TrimPrefix(name, "msgorch-"), "@")
		units[name] = unit(t, path)
	}
	return units
}

func unit(t *testing.T, path string) map[string]section {
	t.Helper()
	sections := map[string]section{}
	current := section{}
	for _, line := range lines(t, path) {
		switch {
		case line == "", strings.HasPrefix(line, "#"), strings.HasPrefix(line, ";"):
		case strings.HasPrefix(line, "["):
			current = section{}
			sections[strings.Trim(line, "[]")] = current
		default:
			key, value, ok := strings.Cut(line, "=")
			if !ok {
				t.Fatalf("%s: %q is not a setting", path, line)
			}
			current[key] = append(current[key], value)
		}
	}
	return sections
}

func lines(t *testing.T, path string) []string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return slices.Collect(strings.SplitSeq(string(content), "\n"))
}
