-- The DSNs by which programs send spans. Their keys are public: they stand in the pages of browsers, and open nothing but
-- sending. A number is never given twice.

CREATE TABLE dsns (
    number     INTEGER PRIMARY KEY AUTOINCREMENT,
    public_key TEXT    NOT NULL UNIQUE,
    name       TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    revoked_at INTEGER
) STRICT;
