-- New words wait in a list until it is full; then whoever writes next sorts all of
-- them into the index. With the 4 MB of PostgreSQL's default that kept a core busy for
-- a tenth of a second under load; and each search reads the whole list.
ALTER INDEX messages_text_idx SET (gin_pending_list_limit = 512); -- kB
