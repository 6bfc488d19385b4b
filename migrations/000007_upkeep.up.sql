-- Every message leaves dead rows and index entries behind. PostgreSQL would wait
-- until a fifth of a table is dead, which is minutes of cleaning at a time once a
-- table has millions of rows, and statistics that are as old.
ALTER TABLE messages SET (
    autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.02
);
ALTER TABLE gateway_events SET (
    autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.02
);
ALTER TABLE attempts SET (
    autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 5000, autovacuum_analyze_scale_factor = 0.05
);
-- Few rows, updated with every message.
ALTER TABLE chats SET (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);
ALTER TABLE instances SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
-- Comes and goes.
ALTER TABLE early_evidence SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
