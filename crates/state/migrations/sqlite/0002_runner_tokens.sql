-- The tokens by which runners show who they are, each its runner's alone. The token itself is nowhere: it is 256 random
-- bits, so its SHA-256 gives nothing away and needs no salt.

CREATE TABLE runner_tokens (
    id           TEXT    NOT NULL PRIMARY KEY,
    token_hash   TEXT    NOT NULL UNIQUE,
    runner_id    TEXT    NOT NULL,
    created_at   INTEGER NOT NULL,
    revoked_at   INTEGER,
    last_used_at INTEGER
) STRICT, WITHOUT ROWID;
