DROP VIEW shown_messages;
