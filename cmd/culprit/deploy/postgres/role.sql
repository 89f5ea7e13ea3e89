-- The least that culprit needs: it reads statistics, and no table of yours. Run
-- as a superuser, in every database that is to be looked at:
--
--   psql -v ON_ERROR_STOP=1 -d DATABASE -f role.sql
--
-- Give the role a password, or a certificate, in your own way.
DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'culprit') THEN
    CREATE ROLE culprit LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE CONNECTION LIMIT 4;
  END IF;
END
$$;
GRANT pg_monitor TO culprit;
-- Defence in depth; the lack of rights is what protects.
ALTER ROLE culprit SET default_transaction_read_only = on;
ALTER ROLE culprit SET statement_timeout = '5s';
ALTER ROLE culprit SET lock_timeout = '100ms';
ALTER ROLE culprit SET idle_in_transaction_session_timeout = '10s';
CREATE EXTENSION IF NOT EXISTS pg_stat_statements;
