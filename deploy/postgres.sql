-- The database for a PostgreSQL server of yours: an owner, who migrates, and the role that
-- the programs use, which may read and write rows and nothing else. Safe to run again;
-- running it again also sets the passwords.
--
--   psql -v owner_password="$OWNER_PASSWORD" -v app_password="$APP_PASSWORD" \
--        -f deploy/postgres.sql postgres://postgres@db.example.com/postgres
--
-- Then: DATABASE_URL=postgres://msgorch_owner:…/msgorch  for `msgorch migrate up`,
--       DATABASE_URL=postgres://msgorch_app:…/msgorch    for api and worker.
\set ON_ERROR_STOP on
\if :{?owner_password}
\else
  DO 'BEGIN RAISE ''owner_password is missing: -v owner_password=…''; END';
\endif
\if :{?app_password}
\else
  DO 'BEGIN RAISE ''app_password is missing: -v app_password=…''; END';
\endif
\if :{?database}
\else
  \set database msgorch
\endif

-- CREATE ROLE and CREATE DATABASE know no IF NOT EXISTS.
SELECT format('CREATE ROLE %I', name)
FROM unnest(ARRAY['msgorch_owner', 'msgorch_app']) AS name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec

ALTER ROLE msgorch_owner WITH LOGIN NOCREATEDB NOCREATEROLE PASSWORD :'owner_password';
ALTER ROLE msgorch_app WITH LOGIN NOCREATEDB NOCREATEROLE PASSWORD :'app_password';

-- A managed service's administrator is no superuser and must be a member to give away ownership.
SELECT format('GRANT msgorch_owner TO %I', current_user)
WHERE NOT pg_has_role(current_user, 'msgorch_owner', 'MEMBER') \gexec

SELECT format('CREATE DATABASE %I OWNER msgorch_owner ENCODING ''UTF8'' TEMPLATE template0', :'database')
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'database') \gexec

REVOKE ALL ON DATABASE :"database" FROM PUBLIC;
GRANT CONNECT ON DATABASE :"database" TO msgorch_app;

\connect :"database"

ALTER SCHEMA public OWNER TO msgorch_owner;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO msgorch_app;

-- What is there already, and what later migrations will add.
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO msgorch_app;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO msgorch_app;
ALTER DEFAULT PRIVILEGES FOR ROLE msgorch_owner IN SCHEMA public
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO msgorch_app;
ALTER DEFAULT PRIVILEGES FOR ROLE msgorch_owner IN SCHEMA public
    GRANT USAGE, SELECT ON SEQUENCES TO msgorch_app;
