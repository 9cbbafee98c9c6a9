-- Who may do what, what was done, and what was set. Times are milliseconds since 1970 (UTC), structures JSON.

CREATE TABLE users (
    id            TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    name          TEXT COLLATE "C" NOT NULL,
    name_key      TEXT COLLATE "C" NOT NULL CONSTRAINT users_name_key UNIQUE, -- the name as it is compared
    full_name     TEXT COLLATE "C" NOT NULL,
    password_hash TEXT COLLATE "C" NOT NULL,
    must_change   BOOLEAN NOT NULL,                               -- the password is a one-time one
    disabled      BOOLEAN NOT NULL,
    created_at    BIGINT NOT NULL,
    revision      BIGINT NOT NULL
);

CREATE TABLE user_roles (
    user_id TEXT COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    role    TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (user_id, role)
);

CREATE TABLE groups (
    id          TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    name        TEXT COLLATE "C" NOT NULL,
    name_key    TEXT COLLATE "C" NOT NULL CONSTRAINT groups_name_key UNIQUE,
    description TEXT COLLATE "C" NOT NULL,
    created_at  BIGINT NOT NULL,
    revision    BIGINT NOT NULL
);

CREATE TABLE group_roles (
    group_id TEXT COLLATE "C" NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
    role     TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (group_id, role)
);

CREATE TABLE group_members (
    group_id TEXT COLLATE "C" NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
    user_id  TEXT COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    PRIMARY KEY (group_id, user_id)
);
CREATE INDEX group_members_user ON group_members (user_id);

-- A session is found by the digest of its secret; the secret itself is nowhere.
CREATE TABLE sessions (
    secret_digest TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    user_id       TEXT COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    address       TEXT COLLATE "C" NOT NULL,
    created_at    BIGINT NOT NULL,
    seen_at       BIGINT NOT NULL
);
CREATE INDEX sessions_user ON sessions (user_id);

CREATE TABLE tokens (
    id            TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    user_id       TEXT COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name          TEXT COLLATE "C" NOT NULL,
    name_key      TEXT COLLATE "C" NOT NULL,
    secret_digest TEXT COLLATE "C" NOT NULL CONSTRAINT tokens_secret UNIQUE,
    roles         TEXT COLLATE "C" NOT NULL,   -- the roles that it is limited to; JSON list, empty: all of its user's
    created_at    BIGINT NOT NULL,
    expires_at    BIGINT NOT NULL,
    used_at       BIGINT,
    CONSTRAINT tokens_name UNIQUE (user_id, name_key)
);

-- Failed log-ins by what was tried (name or address), to make guessing slow.
CREATE TABLE login_failures (
    subject  TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    failures BIGINT NOT NULL,
    last_at  BIGINT NOT NULL
);

CREATE TABLE settings (
    name     TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    value    TEXT COLLATE "C" NOT NULL,
    revision BIGINT NOT NULL
);

CREATE TABLE audit (
    id          TEXT COLLATE "C" PRIMARY KEY NOT NULL, -- rises with time
    at          BIGINT NOT NULL,
    actor_id    TEXT COLLATE "C",                      -- no reference: what was done outlives who did it
    actor_name  TEXT COLLATE "C" NOT NULL,
    address     TEXT COLLATE "C" NOT NULL,
    request_id  TEXT COLLATE "C",
    action      TEXT COLLATE "C" NOT NULL,
    object_kind TEXT COLLATE "C" NOT NULL,
    object_id   TEXT COLLATE "C" NOT NULL,
    object_name TEXT COLLATE "C" NOT NULL,
    comment     TEXT COLLATE "C" NOT NULL,
    detail      TEXT COLLATE "C" NOT NULL
);
CREATE INDEX audit_object ON audit (object_kind, object_id, id);
CREATE INDEX audit_actor ON audit (actor_id, id);
CREATE INDEX audit_at ON audit (at);

-- Answers to creating calls, by the key that the caller chose.
CREATE TABLE idempotency (
    user_id    TEXT COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    key        TEXT COLLATE "C" NOT NULL,
    request    TEXT COLLATE "C" NOT NULL,   -- digest of what was asked
    answer     TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (user_id, key)
);
CREATE INDEX idempotency_created ON idempotency (created_at);
