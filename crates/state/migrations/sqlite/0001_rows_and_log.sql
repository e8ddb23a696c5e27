-- The rows of builds, the event log that they are folded from, and who runs them.
--
-- Identifiers are text. Times are whole milliseconds since 1970-01-01T00:00:00Z. JSON is text.
-- Only what is looked up has an index: each index is paid for by every event.

CREATE TABLE projects (
    id                TEXT    NOT NULL PRIMARY KEY,
    name              TEXT    NOT NULL,
    slug              TEXT    NOT NULL UNIQUE,
    description       TEXT,
    status            TEXT    NOT NULL CHECK (status IN ('pending', 'in_progress', 'completed', 'failed')),
    project_type      TEXT,
    path              TEXT,
    run_command       TEXT,
    port              INTEGER,
    dev_server_port   INTEGER,
    dev_server_status TEXT,
    runner_id         TEXT,
    error_message     TEXT,
    last_activity_at  INTEGER,
    created_at        INTEGER NOT NULL,
    updated_at        INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- A command that the server never gave, but events name, stands here too (type 'unknown'): its last_seq must be kept.
CREATE TABLE commands (
    id         TEXT    NOT NULL PRIMARY KEY,
    project_id TEXT    REFERENCES projects (id) ON DELETE CASCADE,
    runner_id  TEXT,
    type       TEXT    NOT NULL,
    status     TEXT    NOT NULL CHECK (status IN ('queued', 'sent', 'acked', 'ended', 'failed')),
    last_seq   INTEGER NOT NULL DEFAULT 0,
    link       TEXT,
    link_seq   INTEGER,
    trace_id   TEXT,
    created_at INTEGER NOT NULL,
    ended_at   INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX commands_of_project ON commands (project_id);
CREATE INDEX commands_unanswered ON commands (status) WHERE status IN ('queued', 'sent');

CREATE TABLE generation_sessions (
    id             TEXT    NOT NULL PRIMARY KEY,
    project_id     TEXT    NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    build_id       TEXT    NOT NULL UNIQUE,
    command_id     TEXT    NOT NULL UNIQUE,
    operation_type TEXT    NOT NULL,
    agent_id       TEXT    NOT NULL,
    status         TEXT    NOT NULL CHECK (status IN ('active', 'completed', 'failed')),
    final          INTEGER NOT NULL DEFAULT 0,
    incomplete     INTEGER NOT NULL DEFAULT 0,
    error_message  TEXT,
    exit_code      INTEGER,
    trace_id       TEXT,
    last_seq       INTEGER NOT NULL DEFAULT 0,
    fold           TEXT,
    started_at     INTEGER NOT NULL,
    ended_at       INTEGER,
    summary        TEXT,
    -- Null on an ended build until its state has been written in full.
    raw_state      TEXT,
    created_at     INTEGER NOT NULL,
    updated_at     INTEGER NOT NULL
) STRICT;

CREATE INDEX sessions_of_project ON generation_sessions (project_id, created_at);
CREATE INDEX sessions_by_time ON generation_sessions (created_at, id);
CREATE INDEX sessions_of_trace ON generation_sessions (trace_id) WHERE trace_id IS NOT NULL;
CREATE INDEX sessions_active ON generation_sessions (project_id) WHERE status = 'active';
CREATE INDEX sessions_unwritten ON generation_sessions (id) WHERE raw_state IS NULL AND status <> 'active';

CREATE TABLE generation_todos (
    id          TEXT    NOT NULL,
    session_id  TEXT    NOT NULL REFERENCES generation_sessions (id) ON DELETE CASCADE,
    todo_index  INTEGER NOT NULL,
    content     TEXT    NOT NULL,
    active_form TEXT    NOT NULL,
    status      TEXT    NOT NULL CHECK (status IN ('pending', 'in_progress', 'completed')),
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    UNIQUE (session_id, todo_index)
) STRICT;

CREATE TABLE generation_tool_calls (
    id           TEXT    NOT NULL,
    session_id   TEXT    NOT NULL REFERENCES generation_sessions (id) ON DELETE CASCADE,
    todo_index   INTEGER NOT NULL,
    tool_call_id TEXT    NOT NULL,
    name         TEXT    NOT NULL,
    input        TEXT,
    output       TEXT,
    state        TEXT    NOT NULL CHECK (state IN ('input-available', 'output-available', 'output-error')),
    first_seq    INTEGER NOT NULL,
    started_at   INTEGER,
    ended_at     INTEGER,
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL,
    UNIQUE (session_id, tool_call_id)
) STRICT;

CREATE INDEX tool_calls_in_order ON generation_tool_calls (session_id, first_seq);

CREATE TABLE generation_notes (
    id         TEXT    NOT NULL,
    session_id TEXT    NOT NULL REFERENCES generation_sessions (id) ON DELETE CASCADE,
    todo_index INTEGER NOT NULL,
    text_id    TEXT    NOT NULL,
    kind       TEXT    NOT NULL CHECK (kind IN ('text', 'reasoning')),
    part       INTEGER NOT NULL,
    content    TEXT    NOT NULL,
    first_seq  INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    UNIQUE (session_id, kind, text_id, part)
) STRICT;

CREATE INDEX notes_in_order ON generation_notes (session_id, first_seq, part);

-- The log. Rows are appended and never changed. The bodies lie in a table in the order of their arrival, the key beside
-- them: kept in the key's own tree they would be shifted about by the events of other commands.
CREATE TABLE runner_events (
    command_id  TEXT    NOT NULL,
    seq         INTEGER NOT NULL,
    project_id  TEXT,
    type        TEXT    NOT NULL,
    body        TEXT,
    outcome     TEXT    NOT NULL CHECK (outcome IN ('committed', 'rejected', 'expired')),
    reason      TEXT,
    received_at INTEGER NOT NULL,
    PRIMARY KEY (command_id, seq)
) STRICT;

CREATE TABLE session_decisions (
    session_id TEXT    NOT NULL REFERENCES generation_sessions (id) ON DELETE CASCADE,
    after_seq  INTEGER NOT NULL,
    kind       TEXT    NOT NULL CHECK (kind IN ('silence', 'unreachable', 'reopened', 'cancelled')),
    reason     TEXT    NOT NULL,
    at         INTEGER NOT NULL
) STRICT;

CREATE INDEX decisions_of_session ON session_decisions (session_id, after_seq);

CREATE TABLE runners (
    id           TEXT    NOT NULL PRIMARY KEY,
    broker_url   TEXT,
    link         TEXT    NOT NULL CHECK (link IN ('up', 'down')),
    payload      TEXT,
    last_seen_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
