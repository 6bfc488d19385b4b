ALTER INDEX messages_text_idx RESET (gin_pending_list_limit);
