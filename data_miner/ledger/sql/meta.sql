-- Facts about the ledger itself.

-- name: get
SELECT value FROM meta WHERE key = %(key)s

-- name: set_once
INSERT INTO meta (key, value) VALUES (%(key)s, %(value)s) ON CONFLICT (key) DO NOTHING

-- name: server
SELECT current_setting('server_version') AS version, pg_database_size(current_database()) AS size_bytes
