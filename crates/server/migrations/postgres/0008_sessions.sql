-- Sessions get an identifier that can be shown, and failed log-ins are counted by name and address. Both are made anew:
-- who was logged in logs in again.

DROP TABLE sessions;
CREATE TABLE sessions (
    secret_digest TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    user_id       TEXT COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    address       TEXT COLLATE "C" NOT NULL,
    created_at    BIGINT NOT NULL,
    seen_at       BIGINT NOT NULL,
    id            TEXT COLLATE "C" NOT NULL CONSTRAINT sessions_id UNIQUE
);
CREATE INDEX sessions_user ON sessions (user_id);

DROP TABLE login_failures;
CREATE TABLE login_failures (
    subject  TEXT COLLATE "C" PRIMARY KEY NOT NULL, -- a name from an address, an address, a name
    name_key TEXT COLLATE "C",                      -- the name as it is compared
    failures BIGINT NOT NULL,
    begun_at BIGINT NOT NULL,           -- since when they are counted
    last_at  BIGINT NOT NULL
);
CREATE INDEX login_failures_name ON login_failures (name_key);
