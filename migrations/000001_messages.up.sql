-- The order of the values is the order of evidence: from 'accepted' on, a
-- larger status implies the smaller ones.
CREATE TYPE message_status AS ENUM (
    'received',
    'scheduled', 'queued', 'sending', 'unknown', 'failed', 'canceled', 'expired',
    'accepted', 'sent', 'delivered', 'read', 'played'
);
CREATE TYPE message_direction AS ENUM ('inbound', 'outbound');
CREATE TYPE message_priority AS ENUM ('critical', 'default', 'bulk');
CREATE TYPE event_state AS ENUM ('pending', 'applied', 'unhandled', 'quarantined');

-- An instance is a WhatsApp number behind a gateway. A deleted one keeps its
-- row, because its history stays; its credentials do not.
CREATE TABLE instances (
    id                 bigint      GENERATED ALWAYS AS IDENTITY CONSTRAINT instances_pkey PRIMARY KEY,
    name               text        NOT NULL CONSTRAINT instances_name_key UNIQUE,
    gateway            text        NOT NULL CONSTRAINT instances_gateway_check CHECK (gateway IN ('evolution', 'cloud', 'sandbox')),
    base_url           text        NOT NULL DEFAULT '', -- empty: the gateway's default, from the environment
    credential         bytea,                           -- sealed; null: the default, from the environment
    webhook_token_hash bytea,                           -- SHA-256; null: the default, from the environment
    rate_per_minute    integer     CONSTRAINT instances_rate_check CHECK (rate_per_minute > 0),
    connection         text        NOT NULL DEFAULT 'unknown',
    paused_at          timestamptz,
    pause_reason       text,
    created_at         timestamptz NOT NULL DEFAULT now(),
    updated_at         timestamptz NOT NULL DEFAULT now(),
    deleted_at         timestamptz
);

CREATE TABLE api_keys (
    id         uuid        CONSTRAINT api_keys_pkey PRIMARY KEY,
    name       text        NOT NULL,
    hash       bytea       NOT NULL CONSTRAINT api_keys_hash_key UNIQUE, -- SHA-256 of the key
    scopes     text[]      NOT NULL CONSTRAINT api_keys_scopes_check CHECK (cardinality(scopes) > 0 AND scopes <@ ARRAY['send', 'read', 'manage']),
    instances  text[]      NOT NULL DEFAULT '{}', -- names; empty: every instance
    created_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz
);

CREATE TABLE contacts (
    instance_id bigint      NOT NULL CONSTRAINT contacts_instance_fkey REFERENCES instances,
    jid         text        NOT NULL,
    name        text        NOT NULL,
    updated_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT contacts_pkey PRIMARY KEY (instance_id, jid)
);

CREATE TABLE chats (
    id              bigint      GENERATED ALWAYS AS IDENTITY CONSTRAINT chats_pkey PRIMARY KEY,
    instance_id     bigint      NOT NULL CONSTRAINT chats_instance_fkey REFERENCES instances,
    jid             text        NOT NULL,
    name            text,
    unread          integer     NOT NULL DEFAULT 0, -- inbound since our last message, or since it was read on another device
    last_message_at timestamptz,
    created_at      timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT chats_jid_key UNIQUE (instance_id, jid)
) WITH (fillfactor = 80);

CREATE INDEX chats_newest_idx ON chats (instance_id, last_message_at DESC NULLS LAST, id DESC);

-- A message in either direction. The row is the queue: Redis only says that it
-- is time to look.
--
-- No index mentions status, attempt, lease_until or the times of evidence, so
-- that claiming a message and learning of its way rewrite no index (HOT).
CREATE TABLE messages (
    id                 uuid              CONSTRAINT messages_pkey PRIMARY KEY,
    seq                bigint            NOT NULL GENERATED ALWAYS AS IDENTITY, -- order of acceptance
    instance_id        bigint            NOT NULL CONSTRAINT messages_instance_fkey REFERENCES instances,
    chat_id            bigint            NOT NULL CONSTRAINT messages_chat_fkey REFERENCES chats,
    direction          message_direction NOT NULL,
    status             message_status    NOT NULL,
    type               text              NOT NULL,
    text               text,
    content            jsonb,            -- what is not text, as the gateway gave it
    sender             text,             -- who wrote it, in a group
    gateway_message_id text,
    reply_to           uuid,
    priority           message_priority  NOT NULL DEFAULT 'default',
    send_at            timestamptz,
    expires_at         timestamptz,
    metadata           jsonb             NOT NULL DEFAULT '{}',
    idempotency_key    text,
    request_hash       bytea,            -- SHA-256 of what the key stands for

    attempt            integer           NOT NULL DEFAULT 0,  -- number of the latest attempt; also the fencing value of its lease
    max_attempts       integer           NOT NULL DEFAULT 12,
    next_attempt_at    timestamptz,      -- outbound and unsettled: when it may be tried
    lease_until        timestamptz,      -- sending: when its worker is taken for lost
    task_batch         uuid,             -- the task that carries everything accepted together with it; null: one of its own

    error_code         text,
    error_text         text,
    history            jsonb             NOT NULL DEFAULT '[]', -- [{"status":…,"at":…}], oldest first

    created_at         timestamptz       NOT NULL, -- outbound: accepted by us; inbound: written, as the gateway says
    accepted_at        timestamptz,
    sent_at            timestamptz,
    delivered_at       timestamptz,
    read_at            timestamptz,
    played_at          timestamptz,
    stopped_at         timestamptz,      -- failed, canceled or expired
    settled_at         timestamptz       -- inbound: always; outbound: nothing more to do on our side
) WITH (fillfactor = 75);

-- Duplicates of what callers and gateways tell.
CREATE UNIQUE INDEX messages_idempotency_key ON messages (instance_id, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE UNIQUE INDEX messages_gateway_message_key ON messages (instance_id, gateway_message_id, chat_id) WHERE gateway_message_id IS NOT NULL;

-- Listings.
CREATE INDEX messages_chat_idx ON messages (chat_id, created_at DESC, seq DESC);
CREATE INDEX messages_instance_idx ON messages (instance_id, direction, created_at DESC, seq DESC);
CREATE INDEX messages_stopped_idx ON messages (instance_id, created_at DESC, seq DESC) WHERE stopped_at IS NOT NULL;
CREATE INDEX messages_open_idx ON messages (instance_id, created_at DESC, seq DESC) WHERE settled_at IS NULL;
CREATE INDEX messages_text_idx ON messages USING gin (to_tsvector('simple', text)) WHERE text IS NOT NULL;

-- The head of a chat, and the sweeper's look at what is due.
CREATE INDEX messages_lane_idx ON messages (chat_id, seq) WHERE settled_at IS NULL;
CREATE INDEX messages_due_idx ON messages (next_attempt_at, seq) WHERE settled_at IS NULL;

-- One try of handing a message to its gateway.
CREATE TABLE attempts (
    message_id  uuid        NOT NULL CONSTRAINT attempts_message_fkey REFERENCES messages ON DELETE CASCADE,
    attempt     integer     NOT NULL,
    started_at  timestamptz NOT NULL,
    duration_ms integer     NOT NULL,
    outcome     text        NOT NULL,
    http_status integer,
    code        text,
    reason      text,
    CONSTRAINT attempts_pkey PRIMARY KEY (message_id, attempt)
);

-- What a gateway posted, as it posted it.
CREATE TABLE gateway_events (
    id          uuid        CONSTRAINT gateway_events_pkey PRIMARY KEY,
    instance_id bigint      NOT NULL CONSTRAINT gateway_events_instance_fkey REFERENCES instances,
    event       text        NOT NULL,
    body        bytea       NOT NULL, -- the gateway's own secrets overwritten
    body_hash   bytea       NOT NULL, -- SHA-256 of the body; an exact repeat is one event
    state       event_state NOT NULL,
    reason      text,                 -- why it is quarantined
    task_batch  uuid,
    attempt     integer     NOT NULL DEFAULT 0,
    received_at timestamptz NOT NULL DEFAULT now(),
    applied_at  timestamptz,
    CONSTRAINT gateway_events_body_key UNIQUE (instance_id, body_hash)
) WITH (fillfactor = 90);

CREATE INDEX gateway_events_pending_idx ON gateway_events (received_at, id) WHERE state = 'pending';
CREATE INDEX gateway_events_quarantined_idx ON gateway_events (instance_id, received_at DESC) WHERE state = 'quarantined';

-- Evidence about a message whose row does not exist yet.
CREATE TABLE early_evidence (
    instance_id        bigint         NOT NULL CONSTRAINT early_evidence_instance_fkey REFERENCES instances,
    gateway_message_id text           NOT NULL,
    status             message_status NOT NULL,
    at                 timestamptz    NOT NULL,
    reason             text,
    received_at        timestamptz    NOT NULL DEFAULT now(),
    CONSTRAINT early_evidence_pkey PRIMARY KEY (instance_id, gateway_message_id, status)
);

CREATE INDEX early_evidence_received_idx ON early_evidence (received_at);
