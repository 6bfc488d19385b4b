-- What is shown of a message, in lists too: a page needs neither what only the
-- queue looks at nor how it came to its status, which is half of a row whose text
-- has 120 characters.
CREATE VIEW shown_messages AS
SELECT m.id, m.seq, i.name AS instance, c.jid AS chat, m.direction, m.status, m.type, m.text, m.content, m.sender,
       m.gateway_message_id, m.reply_to, m.priority, m.send_at, m.expires_at, m.metadata, m.error_code, m.error_text,
       m.created_at, m.accepted_at, m.sent_at, m.delivered_at, m.read_at, m.stopped_at, m.edited_at, m.deleted_at, m.ack_overdue_at
FROM messages m
JOIN instances i ON i.id = m.instance_id
JOIN chats c ON c.id = m.chat_id;
