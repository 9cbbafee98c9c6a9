-- Icons, and the places that connectors reach.

CREATE TABLE icons (
    id         TEXT PRIMARY KEY NOT NULL,
    name       TEXT NOT NULL,
    name_key   TEXT NOT NULL CONSTRAINT icons_name_key UNIQUE,
    built_in   BOOLEAN NOT NULL,                               -- part of the program; cannot be changed
    media_type TEXT NOT NULL,
    bytes      BLOB NOT NULL,
    created_at BIGINT NOT NULL,
    revision   BIGINT NOT NULL
);

CREATE TABLE connector_configurations (
    id           TEXT PRIMARY KEY NOT NULL,
    connector    TEXT NOT NULL,                                -- the kind, such as fileshare
    name         TEXT NOT NULL,
    name_key     TEXT NOT NULL CONSTRAINT connector_configurations_name_key UNIQUE,
    fields       TEXT NOT NULL,                                -- values that are no secrets; JSON
    secrets      BLOB NOT NULL,                                -- sealed, with this row's id
    secret_names TEXT NOT NULL,                                -- which secrets are set; JSON list
    created_at   BIGINT NOT NULL,
    revision     BIGINT NOT NULL
);
