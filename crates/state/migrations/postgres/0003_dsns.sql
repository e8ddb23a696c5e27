-- The DSNs by which programs send spans. Their keys are public: they stand in the pages of browsers, and open nothing but
-- sending. A number is never given twice.

CREATE TABLE dsns (
    number     bigint      NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    public_key text        NOT NULL UNIQUE,
    name       text        NOT NULL,
    created_at timestamptz NOT NULL,
    revoked_at timestamptz
);
