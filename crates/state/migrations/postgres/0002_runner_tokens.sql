-- The tokens by which runners show who they are, each its runner's alone. The token itself is nowhere: it is 256 random
-- bits, so its SHA-256 gives nothing away and needs no salt.

CREATE TABLE runner_tokens (
    id           uuid        NOT NULL PRIMARY KEY,
    token_hash   text        NOT NULL UNIQUE,
    runner_id    text        NOT NULL,
    created_at   timestamptz NOT NULL,
    revoked_at   timestamptz,
    last_used_at timestamptz
) WITH (fillfactor = 50);
