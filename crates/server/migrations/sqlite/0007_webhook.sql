-- Who is told of what happens to tasks, and what is still to be told. There is one webhook at most.

CREATE TABLE webhooks (
    id            TEXT PRIMARY KEY NOT NULL,
    url           TEXT NOT NULL,
    events        TEXT NOT NULL,                                 -- which are told; JSON list
    allow_private BOOLEAN NOT NULL,                              -- may lead to private networks and this machine
    secret        BLOB NOT NULL,                                 -- by which what is told is signed; sealed
    told_at       BIGINT,                                        -- when something was told last
    failed_at     BIGINT,                                        -- when something could not be told last
    failure       TEXT,                                          -- why
    given_up      BIGINT NOT NULL,                               -- how many events were never told
    created_at    BIGINT NOT NULL,
    revision      BIGINT NOT NULL
);

-- Written with the change of the task, and removed when it was told. Events of one task are told in order.
CREATE TABLE task_events (
    task_id  TEXT NOT NULL,                                      -- no reference: the task may be removed before
    position BIGINT NOT NULL,                                    -- 1 created, 2 started, 3 ended
    event    TEXT NOT NULL,
    at       BIGINT NOT NULL,
    tries    BIGINT NOT NULL,
    next_at  BIGINT NOT NULL,
    PRIMARY KEY (task_id, position)
);
CREATE INDEX task_events_next ON task_events (next_at);
