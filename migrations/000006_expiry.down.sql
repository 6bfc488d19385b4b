DROP INDEX messages_expiry_idx;
