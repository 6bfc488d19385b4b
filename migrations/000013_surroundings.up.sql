-- What gateways tell beside messages. Their events come in any order, so each fact
-- has the time of the event that told it, and a later one is believed.

-- A group is a chat; this is what else is known of it.
CREATE TABLE groups (
    chat_id     bigint      CONSTRAINT groups_pkey PRIMARY KEY CONSTRAINT groups_chat_fkey REFERENCES chats ON DELETE CASCADE,
    description text,
    owner       text,
    told_at     timestamptz NOT NULL
);

CREATE TABLE group_members (
    chat_id bigint      NOT NULL CONSTRAINT group_members_chat_fkey REFERENCES chats ON DELETE CASCADE,
    address text        NOT NULL, -- as in addresses
    jid     text        NOT NULL,
    present boolean     NOT NULL, -- who has left keeps a row, for events that come late
    admin   boolean     NOT NULL,
    told_at timestamptz NOT NULL,
    CONSTRAINT group_members_pkey PRIMARY KEY (chat_id, address)
);

-- Labels of the WhatsApp Business app.
CREATE TABLE labels (
    instance_id bigint      NOT NULL CONSTRAINT labels_instance_fkey REFERENCES instances,
    label       text        NOT NULL, -- the gateway's id
    name        text        NOT NULL,
    color       integer     NOT NULL, -- index in WhatsApp's palette
    deleted     boolean     NOT NULL,
    told_at     timestamptz NOT NULL,
    CONSTRAINT labels_pkey PRIMARY KEY (instance_id, label)
);

CREATE TABLE chat_labels (
    chat_id            bigint      NOT NULL CONSTRAINT chat_labels_chat_fkey REFERENCES chats ON DELETE CASCADE,
    label              text        NOT NULL,
    gateway_message_id text        NOT NULL, -- empty: the chat itself
    present            boolean     NOT NULL,
    told_at            timestamptz NOT NULL,
    CONSTRAINT chat_labels_pkey PRIMARY KEY (chat_id, label, gateway_message_id)
);

-- What people are doing at this moment: of no worth a day later.
CREATE TABLE presence (
    chat_id      bigint      NOT NULL CONSTRAINT presence_chat_fkey REFERENCES chats ON DELETE CASCADE,
    address      text        NOT NULL, -- of the person
    jid          text        NOT NULL,
    state        text        NOT NULL,
    last_seen_at timestamptz,
    told_at      timestamptz NOT NULL,
    CONSTRAINT presence_pkey PRIMARY KEY (chat_id, address)
);
CREATE INDEX presence_told_idx ON presence (told_at);

CREATE TABLE calls (
    id          bigint      GENERATED ALWAYS AS IDENTITY CONSTRAINT calls_pkey PRIMARY KEY,
    instance_id bigint      NOT NULL CONSTRAINT calls_instance_fkey REFERENCES instances,
    call        text        NOT NULL, -- the gateway's id
    chat_id     bigint      NOT NULL CONSTRAINT calls_chat_fkey REFERENCES chats ON DELETE CASCADE,
    video       boolean     NOT NULL,
    status      text        NOT NULL,
    rank        integer     NOT NULL, -- of the status: a larger one is later
    started_at  timestamptz NOT NULL,
    changed_at  timestamptz NOT NULL,
    CONSTRAINT calls_call_key UNIQUE (call, instance_id)
);
CREATE INDEX calls_newest_idx ON calls (instance_id, started_at DESC, id DESC);
CREATE INDEX calls_chat_idx ON calls (chat_id);
