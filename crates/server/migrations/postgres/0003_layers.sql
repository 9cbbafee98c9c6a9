-- Layers and their versions. Their contents are in the store, under the names that stand here.

CREATE TABLE layers (
    id          TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    kind        TEXT COLLATE "C" NOT NULL,                                 -- os, platform, app
    name        TEXT COLLATE "C" NOT NULL,
    name_key    TEXT COLLATE "C" NOT NULL,
    description TEXT COLLATE "C" NOT NULL,
    os_layer_id TEXT COLLATE "C" REFERENCES layers (id),                   -- the OS layer that it belongs to; none for an OS layer
    icon_id     TEXT COLLATE "C" NOT NULL REFERENCES icons (id),
    priority    BIGINT NOT NULL,                               -- of app layers: the higher one wins
    platform    TEXT COLLATE "C",                                          -- of platform layers: purpose and types; JSON
    hypervisor  TEXT COLLATE "C",                                          -- of OS layers: on what its disk was made
    store_name  TEXT COLLATE "C" NOT NULL,                                 -- its name in the store, which a new name does not change
    store_key   TEXT COLLATE "C" NOT NULL,                                 -- that name as it is compared
    created_at  BIGINT NOT NULL,
    revision    BIGINT NOT NULL,
    CONSTRAINT layers_name UNIQUE (kind, name_key),
    CONSTRAINT layers_store_key UNIQUE (kind, store_key)
);
CREATE INDEX layers_os ON layers (os_layer_id);
CREATE INDEX layers_created ON layers (created_at, id);
CREATE INDEX layers_by_name ON layers (name_key, id);
CREATE INDEX layers_kind_created ON layers (kind, created_at, id);
CREATE INDEX layers_kind_priority ON layers (kind, priority, id);

CREATE TABLE versions (
    id            TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    layer_id      TEXT COLLATE "C" NOT NULL REFERENCES layers (id) ON DELETE CASCADE,
    sequence      BIGINT NOT NULL,                             -- the order of versions; the highest is the latest
    name          TEXT COLLATE "C" NOT NULL,
    name_key      TEXT COLLATE "C" NOT NULL,
    description   TEXT COLLATE "C" NOT NULL,
    state         TEXT COLLATE "C" NOT NULL,                               -- creating, packaging, finalizing, deployable, deleting, failed
    store_version TEXT COLLATE "C" NOT NULL,                               -- its version in the store
    max_bytes     BIGINT NOT NULL,                             -- most that it may add
    added_bytes   BIGINT,                                      -- what it adds, when it has been captured
    digest        TEXT COLLATE "C",                                        -- of the version in the store
    provenance    TEXT COLLATE "C",                                        -- what it was made on and from; JSON
    created_at    BIGINT NOT NULL,
    revision      BIGINT NOT NULL,
    CONSTRAINT versions_sequence UNIQUE (layer_id, sequence),
    CONSTRAINT versions_name UNIQUE (layer_id, name_key),
    CONSTRAINT versions_store_version UNIQUE (layer_id, store_version)
);
CREATE UNIQUE INDEX versions_one_in_packaging ON versions (layer_id) WHERE state IN ('packaging', 'finalizing');

-- What the packaging disk of a version contains, until the version has been captured.
CREATE TABLE packagings (
    version_id          TEXT COLLATE "C" PRIMARY KEY NOT NULL REFERENCES versions (id) ON DELETE CASCADE,
    os_version_id       TEXT COLLATE "C" NOT NULL REFERENCES versions (id),
    base_version_id     TEXT COLLATE "C" REFERENCES versions (id),         -- the version that a new one starts from
    platform_version_id TEXT COLLATE "C" REFERENCES versions (id),         -- a packaging platform, when one is needed
    configuration_id    TEXT COLLATE "C" NOT NULL REFERENCES connector_configurations (id),
    disk_name           TEXT COLLATE "C" NOT NULL,
    disk_format         TEXT COLLATE "C" NOT NULL,
    delivered           TEXT COLLATE "C",                                  -- what the connector said of it; JSON
    CONSTRAINT packagings_disk UNIQUE (configuration_id, disk_name)
);
CREATE INDEX packagings_os ON packagings (os_version_id);
CREATE INDEX packagings_base ON packagings (base_version_id);
CREATE INDEX packagings_platform ON packagings (platform_version_id);

-- App versions that are on the packaging disk as well, lowest priority first.
CREATE TABLE packaging_prerequisites (
    version_id      TEXT COLLATE "C" NOT NULL REFERENCES packagings (version_id) ON DELETE CASCADE,
    position        BIGINT NOT NULL,
    prerequisite_id TEXT COLLATE "C" NOT NULL REFERENCES versions (id),
    PRIMARY KEY (version_id, position)
);
CREATE INDEX packaging_prerequisites_of ON packaging_prerequisites (prerequisite_id);
