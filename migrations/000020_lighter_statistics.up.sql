-- Under load a table is analyzed every minute. PostgreSQL's default is to sample 30,000
-- rows, of a large table as many pages, and to sort every column of them, which kept a
-- core busy for half a second. The plans of hot statements do not depend on what these
-- columns hold (db/plan_test.go). Searches do depend on the words that more than a
-- hundredth of all texts have: 30 counts the 300 commonest, in 9,000 rows. A column
-- without a target of its own would have the whole sample taken again.
DO $$
DECLARE
    c record;
BEGIN
    FOR c IN
        SELECT t.relname, a.attname, a.atttypid IN ('jsonb'::regtype, 'bytea'::regtype) AS is_large
        FROM pg_class t JOIN pg_attribute a ON a.attrelid = t.oid
        WHERE t.oid IN ('messages'::regclass, 'gateway_events'::regclass) AND a.attnum > 0 AND NOT a.attisdropped
    LOOP
        EXECUTE format('ALTER TABLE %I ALTER COLUMN %I SET STATISTICS %s', c.relname, c.attname, CASE WHEN c.is_large THEN 0 ELSE 10 END);
    END LOOP;
END
$$;
ALTER INDEX messages_text_idx ALTER COLUMN 1 SET STATISTICS 30;
