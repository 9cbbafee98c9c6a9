-- Icons, and the places that connectors reach.

CREATE TABLE icons (
    id         TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    name       TEXT COLLATE "C" NOT NULL,
    name_key   TEXT COLLATE "C" NOT NULL CONSTRAINT icons_name_key UNIQUE,
    built_in   BOOLEAN NOT NULL,                               -- part of the program; cannot be changed
    media_type TEXT COLLATE "C" NOT NULL,
    bytes      BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    revision   BIGINT NOT NULL
);

CREATE TABLE connector_configurations (
    id           TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    connector    TEXT COLLATE "C" NOT NULL,                                -- the kind, such as fileshare
    name         TEXT COLLATE "C" NOT NULL,
    name_key     TEXT COLLATE "C" NOT NULL CONSTRAINT connector_configurations_name_key UNIQUE,
    fields       TEXT COLLATE "C" NOT NULL,                                -- values that are no secrets; JSON
    secrets      BYTEA NOT NULL,                                -- sealed, with this row's id
    secret_names TEXT COLLATE "C" NOT NULL,                                -- which secrets are set; JSON list
    created_at   BIGINT NOT NULL,
    revision     BIGINT NOT NULL
);
