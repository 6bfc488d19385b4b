-- New words wait in a list until it is full; then whoever writes next sorts all of
-- them into the index. With the 4 MB of PostgreSQL's default that takes a core for a
-- tenth of a second, in which everybody else waits, and each search reads the list.
ALTER INDEX messages_text_idx SET (gin_pending_list_limit = 512); -- kB
