-- WhatsApp knows one person by a phone number, a LID and a business-scoped id, and
-- spells some numbers in two ways. A chat has all of them as addresses, each in its
-- canonical form (internal/address), and chats.jid is the one to send to.
CREATE TABLE addresses (
    address     text        NOT NULL,
    instance_id bigint      NOT NULL CONSTRAINT addresses_instance_fkey REFERENCES instances,
    jid         text        NOT NULL, -- as it was first told
    chat_id     bigint      NOT NULL CONSTRAINT addresses_chat_fkey REFERENCES chats,
    learned_at  timestamptz NOT NULL DEFAULT now(),
    joined_at   timestamptz, -- when the chat that it led to was merged into this one
    CONSTRAINT addresses_pkey PRIMARY KEY (address, instance_id)
);
CREATE INDEX addresses_chat_idx ON addresses (chat_id);

-- Two chats that have turned out to be one, until they are.
CREATE TABLE chat_merges (
    chat_id  bigint      CONSTRAINT chat_merges_pkey PRIMARY KEY CONSTRAINT chat_merges_chat_fkey REFERENCES chats ON DELETE CASCADE,
    into_id  bigint      NOT NULL CONSTRAINT chat_merges_into_fkey REFERENCES chats ON DELETE CASCADE,
    asked_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX chat_merges_into_idx ON chat_merges (into_id);

-- internal/address.Of, for what is not told by this version: mobiles of Mexico and
-- Argentina have a digit, of Brazil up to area code 28 too, and beyond it not.
CREATE FUNCTION address_of(jid text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN jid ~ '^52\d{10}@s\.whatsapp\.net$' THEN '521' || substr(jid, 3)
        WHEN jid ~ '^54\d{10}@s\.whatsapp\.net$' THEN '549' || substr(jid, 3)
        WHEN jid ~ '^55\d\d[6-9]\d{7}@s\.whatsapp\.net$' AND substr(jid, 3, 2) <= '28' THEN substr(jid, 1, 4) || '9' || substr(jid, 5)
        WHEN jid ~ '^55\d\d9[6-9]\d{7}@s\.whatsapp\.net$' AND substr(jid, 3, 2) > '28' THEN substr(jid, 1, 4) || substr(jid, 6)
        ELSE jid END
$$;

-- A program of the version before makes chats without an address while it is being
-- replaced. If the address is taken, the chat is the taker's.
CREATE FUNCTION give_chat_its_address() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO addresses (address, instance_id, jid, chat_id) VALUES (address_of(NEW.jid), NEW.instance_id, NEW.jid, NEW.id)
    ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        INSERT INTO chat_merges (chat_id, into_id)
        SELECT NEW.id, a.chat_id FROM addresses a
        WHERE a.address = address_of(NEW.jid) AND a.instance_id = NEW.instance_id AND a.chat_id <> NEW.id
        ON CONFLICT DO NOTHING;
    END IF;
    RETURN NULL;
END
$$;

INSERT INTO addresses (address, instance_id, jid, chat_id)
SELECT DISTINCT ON (address_of(jid), instance_id) address_of(jid), instance_id, jid, id
FROM chats
ORDER BY address_of(jid), instance_id, id;

INSERT INTO chat_merges (chat_id, into_id)
SELECT c.id, a.chat_id
FROM chats c
JOIN addresses a ON a.address = address_of(c.jid) AND a.instance_id = c.instance_id AND a.chat_id <> c.id;

CREATE TRIGGER chats_address AFTER INSERT ON chats FOR EACH ROW EXECUTE FUNCTION give_chat_its_address();
