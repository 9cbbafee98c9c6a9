-- From each object one finds what was done to it, and a task keeps others from a name that it is about to use.

CREATE TABLE audit_objects (
    audit_id    TEXT COLLATE "C" NOT NULL REFERENCES audit (id) ON DELETE CASCADE,
    object_kind TEXT COLLATE "C" NOT NULL,
    object_id   TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (audit_id, object_kind, object_id)
);
CREATE INDEX audit_objects_of ON audit_objects (object_id, object_kind, audit_id);
INSERT INTO audit_objects (audit_id, object_kind, object_id) SELECT id, object_kind, object_id FROM audit;

ALTER TABLE tasks ADD COLUMN claims TEXT COLLATE "C";                     -- the configuration and name of the disk that it publishes
CREATE UNIQUE INDEX tasks_claims ON tasks (claims) WHERE ended_at IS NULL;
