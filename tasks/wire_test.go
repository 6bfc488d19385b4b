package tasks_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hibiken/asynq"

	"github.com/msgorch/msgorch/tasks"
)

// The wire format is a promise: a released field is never renamed, because
// tasks of an earlier version are still in Redis when a later one starts.
func TestTheWireFormatNeverChanges(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 12, 1, 15, 0, 0, 0, time.UTC)
	full := tasks.SendMessage{
		ID: "0199c2f4-0000-7000-8000-000000000001", Key: "order-1042-paid", Instance: "sales", To: "+5215550000001", Text: "Hola <3",
		Priority: "bulk", SendAt: at, ExpiresAt: at.Add(time.Hour), ReplyTo: "0199c2f4-0000-7000-8000-000000000002",
		Metadata: map[string]any{"order": "A-17"},
	}
	const fullJSON = `{"id":"0199c2f4-0000-7000-8000-000000000001","key":"order-1042-paid","instance":"sales","to":"+5215550000001",` +
		`"text":"Hola \u003c3","priority":"bulk","send_at":"2026-12-01T15:00:00Z","expires_at":"2026-12-01T16:00:00Z",` +
		`"reply_to":"0199c2f4-0000-7000-8000-000000000002","metadata":{"order":"A-17"}}`
	event := tasks.GatewayEvent{ID: "e1", Instance: "sales", Event: "messages.upsert"}
	tests := []struct {
		name string
		give tasks.Payload
		want string
		into func([]byte) (tasks.Payload, error)
	}{
		{"message:send", full, fullJSON, into[tasks.SendMessage]},
		{
			"message:send",
			tasks.SendMessage{Instance: "sales", To: "5215550000001", Text: "Hola"},
			`{"instance":"sales","to":"5215550000001","text":"Hola"}`, into[tasks.SendMessage],
		},
		{
			"messages:send",
			tasks.SendMessages{Batch: "b1", Messages: []tasks.SendMessage{full}},
			`{"batch":"b1","messages":[` + fullJSON + `]}`, into[tasks.SendMessages],
		},
		{"gateway:event", event, `{"id":"e1","instance":"sales","event":"messages.upsert"}`, into[tasks.GatewayEvent]},
		{"media:fetch", tasks.FetchMedia{ID: "m1"}, `{"id":"m1"}`, into[tasks.FetchMedia]},
		{
			"gateway:events",
			tasks.GatewayEvents{Batch: "b1", Events: []tasks.GatewayEvent{event}},
			`{"batch":"b1","events":[{"id":"e1","instance":"sales","event":"messages.upsert"}]}`, into[tasks.GatewayEvents],
		},
		{"message:read", tasks.ReadMessage{ID: "m1", Instance: "sales", Asked: at}, `{"id":"m1","instance":"sales","asked":"2026-12-01T15:00:00Z"}`, into[tasks.ReadMessage]},
		{
			"chat:typing",
			tasks.ShowTyping{Instance: "sales", Chat: "5215550000001@s.whatsapp.net", State: "composing", ForMS: 9000, Asked: at},
			`{"instance":"sales","chat":"5215550000001@s.whatsapp.net","state":"composing","for_ms":9000,"asked":"2026-12-01T15:00:00Z"}`, into[tasks.ShowTyping],
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			task, err := tasks.New(tt.give)
			if err != nil {
				t.Fatal(err)
			}
			if want, got := tt.name, task.Type(); got != want {
				t.Errorf("type = %q, want %q", got, want)
			}
			if diff := cmp.Diff(tt.want, string(task.Payload())); diff != "" {
				t.Errorf("payload (-want +got):\n%s", diff)
			}
			back, err := tt.into(task.Payload())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.give, back); diff != "" {
				t.Errorf("decoded again (-want +got):\n%s", diff)
			}
		})
	}
}

func into[P tasks.Payload](b []byte) (tasks.Payload, error) {
	var p P
	err := json.Unmarshal(b, &p)
	return p, err
}

// options are what a payload asks of asynq, by name.
func options(p tasks.Payload) map[asynq.OptionType]any {
	m := map[asynq.OptionType]any{}
	for _, o := range p.Options() {
		m[o.Type()] = o.Value()
	}
	return m
}

func TestTaskIDsAreDeterministic(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		give tasks.Payload
		want any
	}{
		{"its own id", tasks.SendMessage{ID: "m1", Instance: "sales"}, "message:send:m1"},
		{"the caller's key, within the instance", tasks.SendMessage{Key: "k1", Instance: "sales"}, "message:send:sales:k1"},
		{"the id wins over the key", tasks.SendMessage{ID: "m1", Key: "k1", Instance: "sales"}, "message:send:m1"},
		{"unnamed: asynq draws one", tasks.SendMessage{Instance: "sales"}, nil},
		{"a batch of messages", tasks.SendMessages{Batch: "b1"}, "messages:send:b1"},
		{"an event", tasks.GatewayEvent{ID: "e1"}, "gateway:event:e1"},
		{"a file", tasks.FetchMedia{ID: "m1"}, "media:fetch:m1"},
		{"a batch of events", tasks.GatewayEvents{Batch: "b1"}, "gateway:events:b1"},
		{"a receipt", tasks.ReadMessage{ID: "m1", Asked: time.UnixMicro(7)}, "message:read:m1:7"},
		{"a sign, for the second", tasks.ShowTyping{Instance: "sales", Chat: "1@lid", State: "composing", Asked: time.Unix(7, 999)}, "chat:typing:sales:8dd08d424aa26a30"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := options(tt.give)[asynq.TaskIDOpt]; got != tt.want {
				t.Errorf("TaskID = %v, want %v", got, tt.want)
			}
		})
	}
}

// asynq's own defaults are 25 retries, half an hour and the queue "default".
func TestEveryTaskSaysItsQueueTimeoutAndRetries(t *testing.T) {
	t.Parallel()
	tests := []struct {
		give  tasks.Payload
		queue string
	}{
		{tasks.SendMessage{}, "default"},
		{tasks.SendMessage{Priority: "default"}, "default"},
		{tasks.SendMessage{Priority: "critical"}, "critical"},
		{tasks.SendMessage{Priority: "bulk"}, "bulk"},
		{tasks.SendMessages{}, "default"},
		{tasks.SendMessages{Messages: []tasks.SendMessage{{Priority: "bulk"}}}, "bulk"},
		{tasks.GatewayEvent{}, "inbound"},
		{tasks.FetchMedia{}, "inbound"},
		{tasks.GatewayEvents{}, "inbound"},
		{tasks.ReadMessage{}, "default"},
	}
	for _, tt := range tests {
		o := options(tt.give)
		if want, got := any(tt.queue), o[asynq.QueueOpt]; got != want {
			t.Errorf("%s %+v: queue = %v, want %v", tt.give.TaskType(), tt.give, got, want)
		}
		if got, _ := o[asynq.TimeoutOpt].(time.Duration); got <= 0 || got >= 30*time.Minute {
			t.Errorf("%s: timeout = %v, want one of ours", tt.give.TaskType(), got)
		}
		// asynq archives a task that runs out of retries even when it was only
		// told to wait, so this must be larger than any count of ours.
		if got, _ := o[asynq.MaxRetryOpt].(int); got < 1000 {
			t.Errorf("%s: max retry = %d, want at least 1000", tt.give.TaskType(), got)
		}
	}
}

func TestEveryQueueIsListedOnce(t *testing.T) {
	t.Parallel()
	want := []string{"critical", "inbound", "default", "events", "agents", "bulk", "maintenance"}
	if diff := cmp.Diff(want, tasks.Queues()); diff != "" {
		t.Errorf("queues (-want +got):\n%s", diff)
	}
}

func TestOptionsOfTheCallerWin(t *testing.T) {
	t.Parallel()
	r := newRedis(t)
	m := hello("a")
	if err := tasks.Enqueue(t.Context(), r.client, m, asynq.Queue("bulk"), asynq.TaskID("mine")); err != nil {
		t.Fatal(err)
	}
	info, err := r.inspector.GetTaskInfo("bulk", "mine")
	if err != nil {
		t.Fatal(err)
	}
	if want, got := "message:send", info.Type; got != want {
		t.Errorf("type = %q, want %q", got, want)
	}
}
