-- The console's dashboards and saved questions: one document, which is replaced as a whole by whoever has read its last version.

CREATE TABLE dashboards (
    id         integer     NOT NULL PRIMARY KEY CHECK (id = 1),
    version    bigint      NOT NULL,
    document   text        NOT NULL,
    updated_at timestamptz NOT NULL
);
