-- Image templates with all their revisions, and what was published from them.

CREATE TABLE templates (
    id                  TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    name                TEXT COLLATE "C" NOT NULL,
    name_key            TEXT COLLATE "C" NOT NULL CONSTRAINT templates_name_key UNIQUE,
    description         TEXT COLLATE "C" NOT NULL,
    icon_id             TEXT COLLATE "C" NOT NULL REFERENCES icons (id),
    os_version_id       TEXT COLLATE "C" NOT NULL REFERENCES versions (id),
    platform_version_id TEXT COLLATE "C" REFERENCES versions (id),          -- required to publish
    configuration_id    TEXT COLLATE "C" REFERENCES connector_configurations (id), -- required to publish
    disk                TEXT COLLATE "C" NOT NULL,                         -- size, format, name, recovery partition, generalisation; JSON
    created_at          BIGINT NOT NULL,
    changed_at          BIGINT NOT NULL,
    revision            BIGINT NOT NULL
);
CREATE INDEX templates_created ON templates (created_at, id);
CREATE INDEX templates_changed ON templates (changed_at, id);
CREATE INDEX templates_os ON templates (os_version_id);
CREATE INDEX templates_platform ON templates (platform_version_id);
CREATE INDEX templates_configuration ON templates (configuration_id);

CREATE TABLE template_apps (
    template_id TEXT COLLATE "C" NOT NULL REFERENCES templates (id) ON DELETE CASCADE,
    version_id  TEXT COLLATE "C" NOT NULL REFERENCES versions (id),
    layer_id    TEXT COLLATE "C" NOT NULL REFERENCES layers (id),          -- a layer is in a template once
    priority    BIGINT,                                        -- in this template; none: the layer's own
    PRIMARY KEY (template_id, layer_id)
);
CREATE INDEX template_apps_version ON template_apps (version_id);
CREATE INDEX template_apps_layer ON template_apps (layer_id);

-- Every state that a template had, to read, compare and restore.
CREATE TABLE template_revisions (
    template_id TEXT COLLATE "C" NOT NULL REFERENCES templates (id) ON DELETE CASCADE,
    revision    BIGINT NOT NULL,
    content     TEXT COLLATE "C" NOT NULL,                                 -- JSON
    author      TEXT COLLATE "C" NOT NULL,
    comment     TEXT COLLATE "C" NOT NULL,
    created_at  BIGINT NOT NULL,
    PRIMARY KEY (template_id, revision)
);

-- What was published. Nothing here refers to what it was made of: that may be deleted.
CREATE TABLE images (
    id                TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    name              TEXT COLLATE "C" NOT NULL,
    name_key          TEXT COLLATE "C" NOT NULL,
    template_id       TEXT COLLATE "C" NOT NULL,
    template_name     TEXT COLLATE "C" NOT NULL,
    template_revision BIGINT NOT NULL,
    configuration_id  TEXT COLLATE "C" NOT NULL,
    connector         TEXT COLLATE "C" NOT NULL,
    task_id           TEXT COLLATE "C" NOT NULL,
    published_by      TEXT COLLATE "C" NOT NULL,
    delivered         TEXT COLLATE "C" NOT NULL,                           -- location, text, link; JSON
    provenance        TEXT COLLATE "C" NOT NULL,                           -- version digests, engine, digest of the disk; JSON
    created_at        BIGINT NOT NULL,
    revision          BIGINT NOT NULL
);
CREATE INDEX images_created ON images (created_at, id);
CREATE INDEX images_name ON images (name_key, id);
CREATE INDEX images_template ON images (template_id, created_at);
