-- Who may do what, what was done, and what was set. Times are milliseconds since 1970 (UTC), structures JSON.

CREATE TABLE users (
    id            TEXT PRIMARY KEY NOT NULL,
    name          TEXT NOT NULL,
    name_key      TEXT NOT NULL CONSTRAINT users_name_key UNIQUE, -- the name as it is compared
    full_name     TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    must_change   BOOLEAN NOT NULL,                               -- the password is a one-time one
    disabled      BOOLEAN NOT NULL,
    created_at    BIGINT NOT NULL,
    revision      BIGINT NOT NULL
);

CREATE TABLE user_roles (
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    role    TEXT NOT NULL,
    PRIMARY KEY (user_id, role)
);

CREATE TABLE groups (
    id          TEXT PRIMARY KEY NOT NULL,
    name        TEXT NOT NULL,
    name_key    TEXT NOT NULL CONSTRAINT groups_name_key UNIQUE,
    description TEXT NOT NULL,
    created_at  BIGINT NOT NULL,
    revision    BIGINT NOT NULL
);

CREATE TABLE group_roles (
    group_id TEXT NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
    role     TEXT NOT NULL,
    PRIMARY KEY (group_id, role)
);

CREATE TABLE group_members (
    group_id TEXT NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
    user_id  TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    PRIMARY KEY (group_id, user_id)
);
CREATE INDEX group_members_user ON group_members (user_id);

-- A session is found by the digest of its secret; the secret itself is nowhere.
CREATE TABLE sessions (
    secret_digest TEXT PRIMARY KEY NOT NULL,
    user_id       TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    address       TEXT NOT NULL,
    created_at    BIGINT NOT NULL,
    seen_at       BIGINT NOT NULL
);
CREATE INDEX sessions_user ON sessions (user_id);

CREATE TABLE tokens (
    id            TEXT PRIMARY KEY NOT NULL,
    user_id       TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name          TEXT NOT NULL,
    name_key      TEXT NOT NULL,
    secret_digest TEXT NOT NULL CONSTRAINT tokens_secret UNIQUE,
    roles         TEXT NOT NULL,   -- the roles that it is limited to; JSON list, empty: all of its user's
    created_at    BIGINT NOT NULL,
    expires_at    BIGINT NOT NULL,
    used_at       BIGINT,
    CONSTRAINT tokens_name UNIQUE (user_id, name_key)
);

-- Failed log-ins by what was tried (name or address), to make guessing slow.
CREATE TABLE login_failures (
    subject  TEXT PRIMARY KEY NOT NULL,
    failures BIGINT NOT NULL,
    last_at  BIGINT NOT NULL
);

CREATE TABLE settings (
    name     TEXT PRIMARY KEY NOT NULL,
    value    TEXT NOT NULL,
    revision BIGINT NOT NULL
);

CREATE TABLE audit (
    id          TEXT PRIMARY KEY NOT NULL, -- rises with time
    at          BIGINT NOT NULL,
    actor_id    TEXT,                      -- no reference: what was done outlives who did it
    actor_name  TEXT NOT NULL,
    address     TEXT NOT NULL,
    request_id  TEXT,
    action      TEXT NOT NULL,
    object_kind TEXT NOT NULL,
    object_id   TEXT NOT NULL,
    object_name TEXT NOT NULL,
    comment     TEXT NOT NULL,
    detail      TEXT NOT NULL
);
CREATE INDEX audit_object ON audit (object_kind, object_id, id);
CREATE INDEX audit_actor ON audit (actor_id, id);
CREATE INDEX audit_at ON audit (at);

-- Answers to creating calls, by the key that the caller chose.
CREATE TABLE idempotency (
    user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    key        TEXT NOT NULL,
    request    TEXT NOT NULL,   -- digest of what was asked
    answer     TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (user_id, key)
);
CREATE INDEX idempotency_created ON idempotency (created_at);
