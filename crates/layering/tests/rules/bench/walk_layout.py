"""Walks an OCI image layout of layer versions by the words of docs/layer-exchange.md, with nothing but Python's own library:
verifies every digest and length, and that the directories of packs add up. Prints what it found as JSON."""
import hashlib, json, os, re, struct, sys

root = sys.argv[1]
named, titles, blobs = set(), [], 0


def read(descriptor):
    assert set(descriptor) >= {"mediaType", "digest", "size"}, descriptor
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", descriptor["digest"]), descriptor
    name = descriptor["digest"][7:]
    named.add(name)
    with open(os.path.join(root, "blobs", "sha256", name), "rb") as file:
        content = file.read()
    assert len(content) == descriptor["size"], name
    assert hashlib.sha256(content).hexdigest() == name, name
    return content


def pack(content):
    assert content[:8] == b"LMNAPCK\x01"
    part, parts, blob_count, run_count, length = struct.unpack_from("<5Q", content, 8)
    assert part < parts and (parts == 1 or blob_count == 1) and length <= 32 << 20
    at, runs_of = 48, []
    for _ in range(blob_count):
        _, blob_len, runs = struct.unpack_from("<32s2Q", content, at)
        runs_of += [blob_len] * runs
        at += 48
    assert len(runs_of) == run_count
    total = 0
    for blob_len in runs_of:
        offset, run_len = struct.unpack_from("<2Q", content, at)
        assert offset % 4096 == 0 and 0 < run_len and offset + run_len <= blob_len
        total += run_len
        at += 16
    assert total == length
    assert length == 0 or content[at : at + 4] == b"\x28\xb5\x2f\xfd", "a zstd frame follows"
    return blob_count


with open(os.path.join(root, "oci-layout")) as file:
    assert json.load(file) == {"imageLayoutVersion": "1.0.0"}
with open(os.path.join(root, "index.json")) as file:
    index = json.load(file)
assert index["schemaVersion"] == 2
for entry in index["manifests"]:
    assert entry["mediaType"] == "application/vnd.oci.image.manifest.v1+json"
    manifest = json.loads(read(entry))
    assert manifest["schemaVersion"] == 2 and manifest["mediaType"] == entry["mediaType"]
    assert manifest["artifactType"] == entry["artifactType"] == "application/vnd.lamina.layer-version.v1"
    assert manifest["config"]["mediaType"] == "application/vnd.lamina.version.v1+json"
    record = json.loads(read(manifest["config"]))
    title = "%s:%s@%s" % (record["kind"], record["layer"], record["version"])
    assert entry["annotations"]["org.opencontainers.image.title"] == title
    titles.append(title)
    body, *packs = manifest["layers"]
    kind = "disk" if record["kind"] == "os" else "changes"
    assert body["mediaType"] == "application/vnd.lamina.%s.v1" % kind
    assert read(body)[:8] == b"LMNAZOB\x01"
    for descriptor in packs:
        assert descriptor["mediaType"] == "application/vnd.lamina.pack.v1"
        blobs += pack(read(descriptor))
unnamed = sorted(set(os.listdir(os.path.join(root, "blobs", "sha256"))) - named)
print(json.dumps({"titles": titles, "unnamed": unnamed, "blobs": blobs}))
