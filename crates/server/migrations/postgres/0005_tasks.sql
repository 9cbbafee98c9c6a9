-- Tasks: what takes longer than an answer. A task is carried out by the server that holds its lease; `generation`
-- rises with every lease, and what an earlier holder still writes is refused.

CREATE TABLE tasks (
    id           TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    kind         TEXT COLLATE "C" NOT NULL,                                -- which saga
    title        TEXT COLLATE "C" NOT NULL,
    state        TEXT COLLATE "C" NOT NULL,                                -- queued, running, action-required, done, failed, stopped
    object_kind  TEXT COLLATE "C" NOT NULL,
    object_id    TEXT COLLATE "C" NOT NULL,
    object_name  TEXT COLLATE "C" NOT NULL,
    description  TEXT COLLATE "C" NOT NULL,                                -- sentences for people; changes as it goes on
    location     TEXT COLLATE "C",
    links        TEXT COLLATE "C" NOT NULL,                                -- JSON
    next_action  TEXT COLLATE "C",                                         -- what a person does next, such as finalize
    failure      TEXT COLLATE "C",                                         -- code, message, hint; JSON
    owner_id     TEXT COLLATE "C",                                         -- no reference: a task outlives its owner
    owner_name   TEXT COLLATE "C" NOT NULL,
    address      TEXT COLLATE "C" NOT NULL,
    saga         TEXT COLLATE "C" NOT NULL,                                -- its steps and parameters; JSON
    stop_asked   BOOLEAN NOT NULL,
    committed    BOOLEAN NOT NULL,                             -- past the point of no return
    generation   BIGINT NOT NULL,
    holder       TEXT COLLATE "C",                                         -- the server that carries it out
    lease_until  BIGINT NOT NULL,
    progress     TEXT COLLATE "C",                                         -- of the step that runs; JSON
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
    task_id    TEXT COLLATE "C" NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
    position   BIGINT NOT NULL,
    title      TEXT COLLATE "C" NOT NULL,
    state      TEXT COLLATE "C" NOT NULL,                                  -- waiting, running, done, failed, undoing, undone
    started_at BIGINT,
    ended_at   BIGINT,
    PRIMARY KEY (task_id, position)
);

-- What a saga has done so far; from this it goes on after a crash.
CREATE TABLE saga_events (
    task_id TEXT COLLATE "C" NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
    node    BIGINT NOT NULL,
    label   TEXT COLLATE "C" NOT NULL,
    event   TEXT COLLATE "C" NOT NULL,                                     -- JSON
    PRIMARY KEY (task_id, node, label)
);

CREATE TABLE task_log (
    task_id TEXT COLLATE "C" NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
    number  BIGINT NOT NULL,
    at      BIGINT NOT NULL,
    level   TEXT COLLATE "C" NOT NULL,
    text    TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (task_id, number)
);

-- What could not be cleaned up when it was to be; tried again until it is.
CREATE TABLE leftovers (
    id         TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    task_id    TEXT COLLATE "C" NOT NULL,                                  -- no reference: it outlives the task
    what       TEXT COLLATE "C" NOT NULL,                                  -- JSON
    failure    TEXT COLLATE "C" NOT NULL,                                  -- of the last try; JSON
    tries      BIGINT NOT NULL,
    next_at    BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX leftovers_next ON leftovers (next_at);
