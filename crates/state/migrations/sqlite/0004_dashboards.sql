-- The console's dashboards and saved questions: one document, which is replaced as a whole by whoever has read its last version.

CREATE TABLE dashboards (
    id         INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    version    INTEGER NOT NULL,
    document   TEXT    NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
