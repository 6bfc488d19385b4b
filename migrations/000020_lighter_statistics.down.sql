DO $$
DECLARE
    c record;
BEGIN
    FOR c IN
        SELECT t.relname, a.attname
        FROM pg_class t JOIN pg_attribute a ON a.attrelid = t.oid
        WHERE t.oid IN ('messages'::regclass, 'gateway_events'::regclass) AND a.attnum > 0 AND NOT a.attisdropped
    LOOP
        EXECUTE format('ALTER TABLE %I ALTER COLUMN %I SET STATISTICS -1', c.relname, c.attname);
    END LOOP;
END
$$;
ALTER INDEX messages_text_idx ALTER COLUMN 1 SET STATISTICS -1;
