ALTER TABLE instances DROP COLUMN in_doubt;
