-- Workers may log in as members of data_miner_worker: rows, but no tables and no roles.
-- Runs after every upgrade; does nothing where the migrating user may not create roles (the embedded server).
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'data_miner_worker') THEN
        IF NOT (SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user) THEN
            RETURN;
        END IF;
        BEGIN
            CREATE ROLE data_miner_worker NOLOGIN;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;  -- roles belong to the server: another database's migration was faster
        END;
    END IF;
    GRANT USAGE ON SCHEMA data_miner TO data_miner_worker;
    GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA data_miner TO data_miner_worker;
    GRANT USAGE ON ALL SEQUENCES IN SCHEMA data_miner TO data_miner_worker;
    GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA data_miner TO data_miner_worker;
    REVOKE INSERT, UPDATE, DELETE ON data_miner.alembic_version FROM data_miner_worker;
END
$$;
