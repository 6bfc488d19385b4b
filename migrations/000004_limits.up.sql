-- How fast an instance may send; null: as fast as its gateway takes it.
ALTER TABLE instances
    ADD COLUMN burst                integer CONSTRAINT instances_burst_check CHECK (burst > 0),
    ADD COLUMN chat_rate_per_minute integer CONSTRAINT instances_chat_rate_check CHECK (chat_rate_per_minute > 0),
    ADD COLUMN chat_burst           integer CONSTRAINT instances_chat_burst_check CHECK (chat_burst > 0),
    ADD COLUMN gap_min_ms           integer CONSTRAINT instances_gap_min_check CHECK (gap_min_ms >= 0),
    ADD COLUMN gap_max_ms           integer CONSTRAINT instances_gap_max_check CHECK (gap_max_ms >= gap_min_ms),
    ADD COLUMN daily_cap            integer CONSTRAINT instances_cap_check CHECK (daily_cap > 0), -- a day of UTC
    ADD COLUMN warm_up_start        date,    -- the first day
    ADD COLUMN warm_up_days         integer,
    ADD COLUMN warm_up_first        integer, -- the cap of the first day; it grows to daily_cap
    ADD CONSTRAINT instances_warm_up_check CHECK (
        warm_up_days IS NULL AND warm_up_start IS NULL AND warm_up_first IS NULL
        OR warm_up_days > 0 AND warm_up_start IS NOT NULL AND warm_up_first > 0 AND daily_cap IS NOT NULL),

    -- Whether slots are handed out one by one: because of a limit, or because
    -- the gateway is away and only one message at a time is to try it.
    ADD COLUMN paced boolean NOT NULL GENERATED ALWAYS AS (
        rate_per_minute IS NOT NULL OR chat_rate_per_minute IS NOT NULL OR gap_max_ms IS NOT NULL
        OR daily_cap IS NOT NULL OR failures > 0) STORED,

    -- Where the limits stand. See internal/outbound/limit.go.
    ADD COLUMN tat          timestamptz, -- theoretical arrival time of the rate
    ADD COLUMN gap_until    timestamptz,
    ADD COLUMN sent_on      date,
    ADD COLUMN sent_count   integer NOT NULL DEFAULT 0, -- on that day
    ADD COLUMN slowed_until timestamptz, -- its gateway asked to slow down
    ADD COLUMN slot_at      timestamptz, -- the next message goes no sooner; null: ask the limits
    ADD COLUMN pulled_until timestamptz, -- a worker looks after what waits; the relay need not
    ADD COLUMN probe_at     timestamptz; -- paused by a refusal: when its gateway is asked again

ALTER TABLE instances SET (fillfactor = 60);

ALTER TABLE chats
    ADD COLUMN tat     timestamptz,
    ADD COLUMN slot_at timestamptz;

CREATE INDEX chats_slot_idx ON chats (instance_id, slot_at) WHERE slot_at IS NOT NULL;

-- What waits of an instance, the most urgent first.
CREATE INDEX messages_waiting_idx ON messages (instance_id, priority, seq) WHERE settled_at IS NULL AND seq > 0;
