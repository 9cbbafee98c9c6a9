-- Tasks: what takes longer than an answer. A task is carried out by the server that holds its lease; `generation`
-- rises with every lease, and what an earlier holder still writes is refused.

CREATE TABLE tasks (
    id           TEXT PRIMARY KEY NOT NULL,
    kind         TEXT NOT NULL,                                -- which saga
    title        TEXT NOT NULL,
    state        TEXT NOT NULL,                                -- queued, running, action-required, done, failed, stopped
    object_kind  TEXT NOT NULL,
    object_id    TEXT NOT NULL,
    object_name  TEXT NOT NULL,
    description  TEXT NOT NULL,                                -- sentences for people; changes as it goes on
    location     TEXT,
    links        TEXT NOT NULL,                                -- JSON
    next_action  TEXT,                                         -- what a person does next, such as finalize
    failure      TEXT,                                         -- code, message, hint; JSON
    owner_id     TEXT,                                         -- no reference: a task outlives its owner
    owner_name   TEXT NOT NULL,
    address      TEXT NOT NULL,
    saga         TEXT NOT NULL,                                -- its steps and parameters; JSON
    stop_asked   BOOLEAN NOT NULL,
    committed    BOOLEAN NOT NULL,                             -- past the point of no return
    generation   BIGINT NOT NULL,
    holder       TEXT,                                         -- the server that carries it out
    lease_until  BIGINT NOT NULL,
    progress     TEXT,                                         -- of the step that runs; JSON
    created_at   BIGINT NOT NULL,
    started_at   BIGINT,
    ended_at     BIGINT,
    changed_at   BIGINT NOT NULL
);
CREATE INDEX tasks_state ON tasks (state, created_at, id);
CREATE INDEX tasks_created ON tasks (created_at, id);
CREATE INDEX tasks_object ON tasks (object_kind, object_id, created_at);
CREATE INDEX tasks_changed ON tasks (changed_at, id);

-- The steps as people see them.
CREATE TABLE subtasks (
    task_id    TEXT NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
    position   BIGINT NOT NULL,
    title      TEXT NOT NULL,
    state      TEXT NOT NULL,                                  -- waiting, running, done, failed, undoing, undone
    started_at BIGINT,
    ended_at   BIGINT,
    PRIMARY KEY (task_id, position)
);

-- What a saga has done so far; from this it goes on after a crash.
CREATE TABLE saga_events (
    task_id TEXT NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
    node    BIGINT NOT NULL,
    label   TEXT NOT NULL,
    event   TEXT NOT NULL,                                     -- JSON
    PRIMARY KEY (task_id, node, label)
);

CREATE TABLE task_log (
    task_id TEXT NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
    number  BIGINT NOT NULL,
    at      BIGINT NOT NULL,
    level   TEXT NOT NULL,
    text    TEXT NOT NULL,
    PRIMARY KEY (task_id, number)
);

-- What could not be cleaned up when it was to be; tried again until it is.
CREATE TABLE leftovers (
    id         TEXT PRIMARY KEY NOT NULL,
    task_id    TEXT NOT NULL,                                  -- no reference: it outlives the task
    what       TEXT NOT NULL,                                  -- JSON
    failure    TEXT NOT NULL,                                  -- of the last try; JSON
    tries      BIGINT NOT NULL,
    next_at    BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX leftovers_next ON leftovers (next_at);
