-- Each foreign key is a query and a row lock for every row that is written. These
-- two kept nothing that is not kept otherwise: an instance's row is never deleted,
-- and a message's chat names the instance as well; an attempt is written by the
-- statement that has its message in hand.
ALTER TABLE messages DROP CONSTRAINT messages_instance_fkey;
ALTER TABLE attempts DROP CONSTRAINT attempts_message_fkey;

-- Nobody looks a chat up but by its addresses, of which each leads to one chat.
ALTER TABLE chats DROP CONSTRAINT chats_jid_key;

-- Whoever deletes messages deletes their attempts, with one query for all.
CREATE FUNCTION delete_attempts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM attempts WHERE message_id = ANY(ARRAY(SELECT id FROM gone));
    RETURN NULL;
END
$$;
CREATE TRIGGER messages_attempts AFTER DELETE ON messages
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION delete_attempts();
