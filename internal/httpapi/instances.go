package httpapi

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/internal/apikey"
	"github.com/msgorch/msgorch/internal/fault"
	"github.com/msgorch/msgorch/internal/outbound"
	"github.com/msgorch/msgorch/internal/secret"
	"github.com/msgorch/msgorch/tasks"
)

// instance is a WhatsApp number behind a gateway, without its secrets.
type instance struct {
	Name            string     `json:"name" example:"sales"`
	Gateway         string     `json:"gateway" enum:"evolution,cloud,sandbox"`
	BaseURL         *string    `json:"base_url" doc:"Null: the server's default (EVOLUTION_BASE_URL)"`
	HasCredential   bool       `json:"has_credential" doc:"False: the server's default (EVOLUTION_API_KEY)"`
	HasWebhookToken bool       `json:"has_webhook_token" doc:"False: the server's default (WEBHOOK_TOKEN)"`
	PhoneNumberID   *string    `json:"phone_number_id" doc:"Of the Cloud API; null for other gateways"`
	HasAppSecret    bool       `json:"has_app_secret" doc:"False: webhooks of the Cloud API get 401"`
	HasVerifyToken  bool       `json:"has_verify_token" doc:"False: Meta cannot set the webhook up"`
	RatePerMinute   *int32     `json:"rate_per_minute" doc:"Null: as fast as the gateway takes it"`
	Burst           *int32     `json:"burst" doc:"Messages that may go at once after a quiet time; null: 1"`
	ChatRate        *int32     `json:"chat_rate_per_minute" doc:"The same for each chat"`
	ChatBurst       *int32     `json:"chat_burst"`
	GapMS           []int32    `json:"gap_ms" doc:"[min, max] milliseconds between two messages; null: none"`
	DailyCap        *int32     `json:"daily_cap" doc:"Messages a day of UTC"`
	WarmUp          *warmUp    `json:"warm_up" doc:"The cap grows to daily_cap"`
	CapToday        *int       `json:"cap_today" doc:"With a daily_cap: what may be sent today"`
	SentToday       *int       `json:"sent_today" doc:"With a daily_cap: what was"`
	SlowedUntil     *time.Time `json:"slowed_until" doc:"The gateway asked to slow down: each minute until then halves rate_per_minute, at most to an eighth"`
	NextSlotAt      *time.Time `json:"next_slot_at" doc:"The next message goes no sooner, because of the limits; null: at once"`
	InDoubt         string     `json:"in_doubt" enum:"hold,resend" doc:"What happens to a message of which nobody can tell whether it was sent"`
	Connection      string     `json:"connection" doc:"open, connecting, close, refused, or unknown: as the gateway said last"`
	PausedAt        *time.Time `json:"paused_at" doc:"Messages wait since then"`
	PauseReason     *string    `json:"pause_reason" doc:"operator, or why the gateway refuses everything"`
	BlockedUntil    *time.Time `json:"blocked_until" doc:"Messages wait until then, without using up attempts: the gateway asked to slow down, or cannot be reached"`
	BlockReason     *string    `json:"block_reason"`
	AckOverdue      int        `json:"ack_overdue" doc:"Messages of the last 24 hours that the gateway took and has said nothing more of (GET /v1/messages?ack_overdue=true)"`
	Gaps            int64      `json:"gaps" doc:"Messages that no webhook had told of, found in the gateway's own records"`
	LastGapAt       *time.Time `json:"last_gap_at"`
	ReconciledTo    *time.Time `json:"reconciled_to" doc:"Compared with the gateway's own records up to this time; null: never"`
	CreatedAt       time.Time  `json:"created_at"`
	UpdatedAt       time.Time  `json:"updated_at"`
}

// warmUp lets the daily cap of a new number grow, by the same factor each day.
type warmUp struct {
	Start    string `json:"start,omitempty" format:"date" doc:"The first day, in UTC; left out: as before, at first today" example:"2026-12-01"`
	FirstDay int32  `json:"first_day,omitempty" minimum:"1" doc:"Cap of the first day"`
	Days     int32  `json:"days" minimum:"0" maximum:"365" doc:"After so many days the cap is daily_cap; 0: no warm-up"`
}

func instanceOf(i db.Instance, overdue map[int64]int) instance {
	out := instance{
		AckOverdue: overdue[i.ID], Gaps: i.Gaps, LastGapAt: utc(i.LastGapAt), ReconciledTo: utc(i.ReconciledTo),
		Name: i.Name, Gateway: i.Gateway, HasCredential: len(i.Credential) > 0, HasWebhookToken: len(i.WebhookTokenHash) > 0,
		PhoneNumberID: i.PhoneNumberID, HasAppSecret: len(i.AppSecret) > 0, HasVerifyToken: len(i.VerifyTokenHash) > 0,
		RatePerMinute: i.RatePerMinute, Burst: i.Burst, ChatRate: i.ChatRatePerMinute, ChatBurst: i.ChatBurst, DailyCap: i.DailyCap,
		InDoubt: i.InDoubt, Connection: i.Connection, PauseReason: i.PauseReason,
		CreatedAt: i.CreatedAt.UTC(), UpdatedAt: i.UpdatedAt.UTC(),
	}
	if i.BaseUrl != "" {
		out.BaseURL = &i.BaseUrl
	}
	out.PausedAt = utc(i.PausedAt)
	if out.BlockedUntil = ahead(i.BlockedUntil); out.BlockedUntil != nil {
		out.BlockReason = i.BlockReason
	}
	if i.GapMaxMs != nil && i.GapMinMs != nil {
		out.GapMS = []int32{*i.GapMinMs, *i.GapMaxMs}
	}
	if i.WarmUpStart != nil && i.WarmUpDays != nil && i.WarmUpFirst != nil {
		out.WarmUp = &warmUp{i.WarmUpStart.Format(time.DateOnly), *i.WarmUpFirst, *i.WarmUpDays}
	}
	if most, sent, ok := outbound.CapToday(i, time.Now()); ok {
		out.CapToday, out.SentToday = &most, &sent
	}
	out.SlowedUntil, out.NextSlotAt = ahead(i.SlowedUntil), ahead(i.SlotAt)
	return out
}

func utc(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	return new(t.UTC())
}

// overdueWindow is how old a message may be that counts as overdue on its
// instance; the list of messages has the older ones, too.
const overdueWindow = 24 * time.Hour

// overdue counts the messages of instances of which their gateway says nothing.
func (s *server) overdue(ctx context.Context, instances ...db.Instance) (map[int64]int, error) {
	ids := make([]int64, len(instances))
	for i, row := range instances {
		ids[i] = row.ID
	}
	rows, err := db.New(s.Pool).CountOverdue(ctx, db.CountOverdueParams{InstanceIds: ids, Since: time.Now().Add(-overdueWindow)})
	counts := make(map[int64]int, len(rows))
	for _, r := range rows {
		counts[r.InstanceID] = int(r.Messages)
	}
	return counts, err
}

// ahead returns a time that has not come yet; nil otherwise.
func ahead(t *time.Time) *time.Time {
	if t == nil || !t.After(time.Now()) {
		return nil
	}
	return new(t.UTC())
}

type instanceInput struct {
	Instance string `path:"instance" doc:"Name of the instance"`
}

type instanceOutput struct{ Body instance }

type putInstanceInput struct {
	Instance string `path:"instance" doc:"Name of the instance, as its gateway knows it"`
	Body     struct {
		Gateway       string  `json:"gateway" enum:"evolution,cloud,sandbox"`
		BaseURL       string  `json:"base_url,omitempty" doc:"Where the gateway is; empty: the server's default" example:"https://evolution.example.com"`
		Credential    string  `json:"credential,omitempty" writeOnly:"true" maxLength:"4096" doc:"What the gateway wants to be shown; left out: unchanged"`
		WebhookToken  string  `json:"webhook_token,omitempty" writeOnly:"true" minLength:"16" maxLength:"256" doc:"What the gateway must show us; left out: unchanged"`
		PhoneNumberID string  `json:"phone_number_id,omitempty" pattern:"^[0-9]{1,32}$" doc:"Of the Cloud API: Meta's id of the number; left out: unchanged"`
		AppSecret     string  `json:"app_secret,omitempty" writeOnly:"true" maxLength:"256" doc:"Of the Cloud API: what Meta signs webhooks with. A new one counts beside the one before; left out: unchanged"`
		VerifyToken   string  `json:"verify_token,omitempty" writeOnly:"true" minLength:"8" maxLength:"256" doc:"Of the Cloud API: what Meta must show to set the webhook up; left out: unchanged"`
		InDoubt       *string `json:"in_doubt,omitempty" enum:"hold,resend" doc:"What happens to a message of which nobody can tell whether it was sent: held for a person, or sent again; left out: unchanged, at first hold"`
		RatePerMinute *int32  `json:"rate_per_minute,omitempty" minimum:"0" maximum:"100000" doc:"Messages a minute, evenly; left out: unchanged; 0: no limit. So for all limits"`
		Burst         *int32  `json:"burst,omitempty" minimum:"0" maximum:"10000" doc:"Messages that may go at once after a quiet time; 0: 1"`
		ChatRate      *int32  `json:"chat_rate_per_minute,omitempty" minimum:"0" maximum:"100000" doc:"Messages a minute to each chat"`
		ChatBurst     *int32  `json:"chat_burst,omitempty" minimum:"0" maximum:"10000" doc:"Messages that may go to a chat at once after a quiet time; 0: 1"`
		GapMS         []int32 `json:"gap_ms,omitempty" minItems:"2" maxItems:"2" doc:"[min, max] milliseconds between two messages, drawn at random; [0,0]: none" example:"[1000,4000]"`
		DailyCap      *int32  `json:"daily_cap,omitempty" minimum:"0" maximum:"10000000" doc:"Messages a day of UTC"`
		WarmUp        *warmUp `json:"warm_up,omitempty" doc:"For a new number: the cap begins at first_day and grows to daily_cap"`
	}
}

type putInstanceOutput struct {
	Status int
	Body   instance
}

func (s *server) putInstance(ctx context.Context, in *putInstanceInput) (*putInstanceOutput, error) {
	if err := s.checkInstance(ctx, in); err != nil {
		return nil, s.fail(ctx, "body", err)
	}
	p := db.PutInstanceParams{
		Name: in.Instance, Gateway: in.Body.Gateway, BaseUrl: strings.TrimRight(in.Body.BaseURL, "/"), InDoubt: in.Body.InDoubt,
	}
	before, err := db.New(s.Pool).InstanceByName(ctx, in.Instance)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return nil, s.fail(ctx, "body", orMissing(err, nil))
	}
	if err := putLimits(in, before, &p); err != nil {
		return nil, s.fail(ctx, "body", err)
	}
	if err := s.putCloud(in, before, &p); err != nil {
		return nil, s.fail(ctx, "body", err)
	}
	if in.Body.WebhookToken != "" {
		p.WebhookTokenHash = apikey.Hash(in.Body.WebhookToken)
	}
	if in.Body.Credential != "" {
		sealed, err := s.Box.Seal(outbound.CredentialContext(in.Instance), secret.Text(in.Body.Credential))
		if err != nil {
			return nil, s.fail(ctx, "body", fault.New(fault.Conflict, "no_secret_key",
				"The server has no SECRET_KEY, so it cannot store a credential.").At("credential").Because(err))
		}
		p.Credential = sealed
	}
	row, err := db.New(s.Pool).PutInstance(ctx, p)
	if db.Violates(err, "instances_phone_number_key") {
		return nil, s.fail(ctx, "body", fault.New(fault.Conflict, "phone_number_taken", "Another instance has this phone_number_id.").At("phone_number_id"))
	}
	if err != nil {
		return nil, s.fail(ctx, "body", orMissing(err, nil))
	}
	overdue, err := s.overdue(ctx, row.Instance)
	if err != nil {
		return nil, s.fail(ctx, "body", orMissing(err, nil))
	}
	out := &putInstanceOutput{Status: http.StatusOK, Body: instanceOf(row.Instance, overdue)}
	if row.IsNew {
		out.Status = http.StatusCreated
	}
	s.lookAfter(ctx, in.Instance)
	return out, nil
}

// putLimits takes the limits from a request, after looking at what they change.
func putLimits(in *putInstanceInput, before db.Instance, p *db.PutInstanceParams) error {
	b := in.Body
	p.RatePerMinute, p.Burst, p.ChatRatePerMinute, p.ChatBurst, p.DailyCap = b.RatePerMinute, b.Burst, b.ChatRate, b.ChatBurst, b.DailyCap
	if len(b.GapMS) == 2 {
		p.GapMinMs, p.GapMaxMs = &b.GapMS[0], &b.GapMS[1]
	}
	if w := b.WarmUp; w != nil {
		p.WarmUpDays, p.WarmUpFirst = &w.Days, &w.FirstDay
		if start, err := time.Parse(time.DateOnly, w.Start); err == nil { // huma has checked its form
			p.WarmUpStart = &start
		}
	}
	return outbound.CheckLimits(*p, before)
}

func (s *server) checkInstance(ctx context.Context, in *putInstanceInput) error {
	if err := tasks.CheckInstance(in.Instance); err != nil {
		return fault.New(fault.Invalid, "invalid_instance", "An instance's name has 1 to 64 letters, digits, spaces or any of . _ - + @.").
			At("instance").Because(err)
	}
	if err := reach(ctx, in.Instance); err != nil {
		return err
	}
	return s.checkTarget(in.Body.BaseURL)
}

// checkTarget refuses addresses that this server must not call. Names are
// judged again by what they resolve to, when they are called.
func (s *server) checkTarget(base string) error {
	if base == "" {
		return nil
	}
	bad := fault.New(fault.Invalid, "invalid_base_url", "The field base_url must be an http or https URL without user, query or fragment.").At("base_url")
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return bad
	}
	ip, err := netip.ParseAddr(u.Hostname())
	private := err == nil && (ip.IsLoopback() || ip.IsPrivate() || ip.IsLinkLocalUnicast() || ip.IsUnspecified())
	if (private || strings.EqualFold(u.Hostname(), "localhost")) && !s.AllowPrivateTargets {
		return fault.New(fault.Invalid, "private_target", "The field base_url names a private address; ALLOW_PRIVATE_TARGETS allows it.").At("base_url")
	}
	return nil
}

func (s *server) getInstance(ctx context.Context, in *instanceInput) (*instanceOutput, error) {
	return s.oneInstance(ctx, in.Instance, db.New(s.Pool).InstanceByName)
}

func (s *server) pauseInstance(ctx context.Context, in *instanceInput) (*instanceOutput, error) {
	return s.oneInstance(ctx, in.Instance, db.New(s.Pool).HoldInstance)
}

func (s *server) resumeInstance(ctx context.Context, in *instanceInput) (*instanceOutput, error) {
	out, err := s.oneInstance(ctx, in.Instance, db.New(s.Pool).ResumeInstance)
	if err == nil {
		s.lookAfter(ctx, in.Instance)
	}
	return out, err
}

func (s *server) oneInstance(ctx context.Context, name string, do func(context.Context, string) (db.Instance, error)) (*instanceOutput, error) {
	if err := reach(ctx, name); err != nil {
		return nil, s.fail(ctx, "path", err)
	}
	i, err := do(ctx, name)
	if err != nil {
		return nil, s.fail(ctx, "path", orMissing(err, unknownInstance()))
	}
	overdue, err := s.overdue(ctx, i)
	if err != nil {
		return nil, s.fail(ctx, "path", orMissing(err, nil))
	}
	return &instanceOutput{instanceOf(i, overdue)}, nil
}

func (s *server) deleteInstance(ctx context.Context, in *instanceInput) (*struct{}, error) {
	if err := reach(ctx, in.Instance); err != nil {
		return nil, s.fail(ctx, "path", err)
	}
	n, err := db.New(s.Pool).DeleteInstance(ctx, in.Instance)
	if err == nil && n == 0 {
		err = unknownInstance()
	}
	if err != nil {
		return nil, s.fail(ctx, "path", orMissing(err, nil))
	}
	return nil, nil //nolint:nilnil // huma's way to answer 204
}

func (s *server) listInstances(ctx context.Context, in *struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
	Cursor string `query:"cursor" doc:"next_cursor of the page before"`
},
) (*pageOutput[instance], error) {
	names := keyFrom(ctx).Instances
	if names == nil {
		names = []string{}
	}
	rows, err := db.New(s.Pool).ListInstances(ctx, db.ListInstancesParams{
		AfterName: in.Cursor, Names: names, MaxRows: int32(in.Limit) + 1,
	})
	if err != nil {
		return nil, s.fail(ctx, "query", orMissing(err, nil))
	}
	next := ""
	if len(rows) > in.Limit {
		rows = rows[:in.Limit]
		next = rows[len(rows)-1].Name
	}
	overdue, err := s.overdue(ctx, rows...)
	if err != nil {
		return nil, s.fail(ctx, "query", orMissing(err, nil))
	}
	data := make([]instance, len(rows))
	for i, r := range rows {
		data[i] = instanceOf(r, overdue)
	}
	return pageOf(data, next), nil
}

func unknownInstance() error {
	return fault.New(fault.NotFound, "unknown_instance", "No instance has this name.")
}

// lookAfter has the workers look at an instance at once; they would anyway, a
// little later.
func (s *server) lookAfter(ctx context.Context, instance string) {
	_ = db.New(s.Pool).LookAfter(ctx, instance)
}

// orMissing classifies what PostgreSQL said; missing stands for no row.
func orMissing(err, missing error) error {
	if missing != nil && errors.Is(err, pgx.ErrNoRows) {
		return missing
	}
	if db.Away(err) {
		return databaseAway(err)
	}
	return err
}

func databaseAway(err error) error {
	return fault.New(fault.Unavailable, "database_unavailable", "The database is away.").RetryAfter(2 * time.Second).Because(err)
}
