DROP TRIGGER messages_attempts ON messages;
DROP FUNCTION delete_attempts();
ALTER TABLE messages ADD CONSTRAINT messages_instance_fkey FOREIGN KEY (instance_id) REFERENCES instances;
ALTER TABLE attempts ADD CONSTRAINT attempts_message_fkey FOREIGN KEY (message_id) REFERENCES messages ON DELETE CASCADE;
ALTER TABLE chats ADD CONSTRAINT chats_jid_key UNIQUE (jid, instance_id);
