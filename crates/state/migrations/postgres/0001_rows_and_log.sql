-- The rows of builds, the event log that they are folded from, and who runs them.
--
-- The same tables as in SQLite, in PostgreSQL's own types. JSON is json and not jsonb: what was received stays as it was.
-- Only what is looked up has an index: each index is paid for by every event.

CREATE TABLE projects (
    id                uuid        NOT NULL PRIMARY KEY,
    name              text        NOT NULL,
    slug              text        NOT NULL UNIQUE,
    description       text,
    status            text        NOT NULL CHECK (status IN ('pending', 'in_progress', 'completed', 'failed')),
    project_type      text,
    path              text,
    run_command       text,
    port              integer,
    dev_server_port   integer,
    dev_server_status text,
    runner_id         text,
    error_message     text,
    last_activity_at  timestamptz,
    created_at        timestamptz NOT NULL,
    updated_at        timestamptz NOT NULL
);

-- A command that the server never gave, but events name, stands here too (type 'unknown'): its last_seq must be kept.
-- Every group commit changes its row. A page that is half empty takes the new version beside the old one, and as long as
-- no value changes that an index has, the indexes need not be touched. The same goes for builds.
CREATE TABLE commands (
    id         text        NOT NULL PRIMARY KEY,
    project_id uuid        REFERENCES projects (id) ON DELETE CASCADE,
    runner_id  text,
    type       text        NOT NULL,
    status     text        NOT NULL CHECK (status IN ('queued', 'sent', 'acked', 'ended', 'failed')),
    last_seq   bigint      NOT NULL DEFAULT 0,
    link       text,
    link_seq   bigint,
    trace_id   text,
    created_at timestamptz NOT NULL,
    ended_at   timestamptz
) WITH (fillfactor = 50);

CREATE INDEX commands_of_project ON commands (project_id);
CREATE INDEX commands_unanswered ON commands (created_at) WHERE status IN ('queued', 'sent');

CREATE TABLE generation_sessions (
    id             uuid        NOT NULL PRIMARY KEY,
    project_id     uuid        NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    build_id       text        NOT NULL UNIQUE,
    command_id     text        NOT NULL UNIQUE,
    operation_type text        NOT NULL,
    agent_id       text        NOT NULL,
    status         text        NOT NULL CHECK (status IN ('active', 'completed', 'failed')),
    final          boolean     NOT NULL DEFAULT false,
    incomplete     boolean     NOT NULL DEFAULT false,
    error_message  text,
    exit_code      integer,
    trace_id       text,
    last_seq       bigint      NOT NULL DEFAULT 0,
    fold           json,
    started_at     timestamptz NOT NULL,
    ended_at       timestamptz,
    summary        text,
    -- Null on an ended build until its state has been written in full.
    raw_state      json,
    created_at     timestamptz NOT NULL,
    updated_at     timestamptz NOT NULL
) WITH (fillfactor = 50);

CREATE INDEX sessions_of_project ON generation_sessions (project_id, created_at);
CREATE INDEX sessions_by_time ON generation_sessions (created_at, id);
CREATE INDEX sessions_of_trace ON generation_sessions (trace_id) WHERE trace_id IS NOT NULL;
CREATE INDEX sessions_active ON generation_sessions (project_id) WHERE status = 'active';
CREATE INDEX sessions_unwritten ON generation_sessions (id) WHERE raw_state IS NULL AND status <> 'active';

CREATE TABLE generation_todos (
    id          uuid        NOT NULL,
    session_id  uuid        NOT NULL REFERENCES generation_sessions (id) ON DELETE CASCADE,
    todo_index  integer     NOT NULL,
    content     text        NOT NULL,
    active_form text        NOT NULL,
    status      text        NOT NULL CHECK (status IN ('pending', 'in_progress', 'completed')),
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL,
    UNIQUE (session_id, todo_index)
) WITH (fillfactor = 70);

CREATE TABLE generation_tool_calls (
    id           uuid        NOT NULL,
    session_id   uuid        NOT NULL REFERENCES generation_sessions (id) ON DELETE CASCADE,
    todo_index   integer     NOT NULL,
    tool_call_id text        NOT NULL,
    name         text        NOT NULL,
    input        json,
    output       json,
    state        text        NOT NULL CHECK (state IN ('input-available', 'output-available', 'output-error')),
    first_seq    bigint      NOT NULL,
    started_at   timestamptz,
    ended_at     timestamptz,
    created_at   timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL,
    UNIQUE (session_id, tool_call_id)
) WITH (fillfactor = 70);

CREATE INDEX tool_calls_in_order ON generation_tool_calls (session_id, first_seq);

CREATE TABLE generation_notes (
    id         uuid        NOT NULL,
    session_id uuid        NOT NULL REFERENCES generation_sessions (id) ON DELETE CASCADE,
    todo_index integer     NOT NULL,
    text_id    text        NOT NULL,
    kind       text        NOT NULL CHECK (kind IN ('text', 'reasoning')),
    part       integer     NOT NULL,
    content    text        NOT NULL,
    first_seq  bigint      NOT NULL,
    created_at timestamptz NOT NULL,
    UNIQUE (session_id, kind, text_id, part)
) WITH (fillfactor = 50);

-- A growing text is written again with each group: compressing it each time costs more than the room it would save.
ALTER TABLE generation_notes ALTER COLUMN content SET STORAGE EXTERNAL;

CREATE INDEX notes_in_order ON generation_notes (session_id, first_seq, part);

-- The log. Rows are appended and never changed.
CREATE TABLE runner_events (
    command_id  text        NOT NULL,
    seq         bigint      NOT NULL,
    project_id  text,
    type        text        NOT NULL,
    body        json,
    outcome     text        NOT NULL CHECK (outcome IN ('committed', 'rejected', 'expired')),
    reason      text,
    received_at timestamptz NOT NULL,
    PRIMARY KEY (command_id, seq)
);

CREATE TABLE session_decisions (
    -- The order in which they were taken.
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    session_id uuid        NOT NULL REFERENCES generation_sessions (id) ON DELETE CASCADE,
    after_seq  bigint      NOT NULL,
    kind       text        NOT NULL CHECK (kind IN ('silence', 'unreachable', 'reopened', 'cancelled')),
    reason     text        NOT NULL,
    at         timestamptz NOT NULL
);

CREATE INDEX decisions_of_session ON session_decisions (session_id, after_seq);

CREATE TABLE runners (
    id           text        NOT NULL PRIMARY KEY,
    broker_url   text,
    link         text        NOT NULL CHECK (link IN ('up', 'down')),
    payload      json,
    last_seen_at timestamptz NOT NULL
) WITH (fillfactor = 50);
