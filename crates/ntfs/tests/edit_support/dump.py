"""Reads a whole NTFS volume with dissect.ntfs: prints every node as JSON, and everything that does not fit together.

usage: dump.py IMAGE
"""
import codecs, collections, hashlib, json, struct, sys
from dissect.cstruct.types.wchar import Wchar
from dissect.ntfs import NTFS

# dissect decodes names strictly; NTFS allows any 16-bit units.
lenient = codecs.CodecInfo(
    name="utf-16-le-units",
    encode=lambda text, errors="strict": codecs.utf_16_le_encode(text, "surrogatepass"),
    decode=lambda data, errors="strict": codecs.utf_16_le_decode(data, "surrogatepass", True),
)
codecs.register(lambda name: lenient if name.replace("_", "-") == "utf-16-le-units" else None)
Wchar.__encoding_map__ = {**Wchar.__encoding_map__, "<": "utf-16-le-units"}

fs = NTFS(open(sys.argv[1], "rb"))
problems, nodes, owners = [], {}, {}
SI, LIST, FN, OID, SD, DATA, ROOT, RP, EAI, EA, LUS = 0x10, 0x20, 0x30, 0x40, 0x50, 0x80, 0x90, 0xC0, 0xD0, 0xE0, 0x100


def text(units):
    return units.decode("utf-16-le", "surrogatepass").encode("utf-8", "surrogatepass").hex()


def walk(index):
    """The entries of an index in the order of its tree. dissect's own walk is in the order of the blocks, and takes in
    those that the index has given up."""
    def below(entries):
        for entry in entries:
            if entry.is_node:
                yield from below(index.index_buffer(entry.node_vcn).entries())
            if not entry.is_end:
                yield entry
    return below(index.root.entries())


def raw(attribute):
    return attribute.data()


def file_name(value):
    return {
        "parent": int.from_bytes(value[0:6], "little"),
        "times": list(struct.unpack_from("<4Q", value, 8)),
        "allocated": struct.unpack_from("<Q", value, 40)[0],
        "size": struct.unpack_from("<Q", value, 48)[0],
        "flags": struct.unpack_from("<I", value, 56)[0],
        "tag": struct.unpack_from("<I", value, 60)[0],
        "namespace": value[65],
        "name": text(value[66:66 + 2 * value[64]]),
    }


records = {}
total = fs.mft.fh.size // fs._record_size
for number in range(total):
    try:
        record = fs.mft.get(number)
    except Exception:
        continue
    if not record.header.Flags & 1:
        continue
    records[number] = record

cluster = fs.cluster_size
for number, record in records.items():
    if int.from_bytes(bytes(record.header.BaseFileRecordSegment)[:6] if not hasattr(record.header.BaseFileRecordSegment, "SegmentNumberLowPart") else struct.pack("<I", record.header.BaseFileRecordSegment.SegmentNumberLowPart), "little"):
        continue
    attributes = record.attributes
    node = {"names": [], "streams": {}, "links": record.header.ReferenceCount, "directory": bool(record.header.Flags & 2), "sequence": record.header.SequenceNumber, "spread": LIST in attributes}
    for kind, collection in attributes.items():
        kind = int(getattr(kind, "value", kind))
        groups = collections.defaultdict(list)
        for attribute in collection:
            groups[attribute.name].append(attribute)
        for name, group in groups.items():
            if kind == FN:
                node["names"] = [file_name(raw(attribute)) for attribute in group]
                continue
            first = min(group, key=lambda a: 0 if a.header.resident else a.header.lowest_vcn)
            if not first.header.resident:
                runs = []
                pieces = sorted(group, key=lambda a: a.header.lowest_vcn)
                vcn = 0
                for piece in pieces:
                    if piece.header.lowest_vcn != vcn:
                        problems.append(f"{number} {kind:#x} {name}: piece at {piece.header.lowest_vcn}, expected {vcn}")
                    piece_runs = list(piece.header.dataruns())
                    vcn += sum(n for _, n in piece_runs)
                    if piece.header.highest_vcn + 1 != vcn and vcn:
                        problems.append(f"{number} {kind:#x} {name}: highest {piece.header.highest_vcn}, runs end at {vcn}")
                    runs += piece_runs
                for lcn, count in runs:
                    if lcn is None:
                        continue
                    for c in range(lcn, lcn + count):
                        if c in owners:
                            problems.append(f"cluster {c} belongs to {owners[c]} and {number}")
                        owners[c] = number
                if vcn * cluster != first.header.allocated_size:
                    problems.append(f"{number} {kind:#x} {name}: allocated {first.header.allocated_size}, runs {vcn * cluster}")
                valid = first.header.header.Form.Nonresident.ValidDataLength
                if not (valid <= first.header.size <= first.header.allocated_size) and number != 8:
                    problems.append(f"{number} {kind:#x} {name}: {valid} <= {first.header.size} <= {first.header.allocated_size} does not hold")
            if kind == DATA and number >= 16:
                data = collections.OrderedDict()
                from dissect.ntfs.util import AttributeCollection
                blob = AttributeCollection(group).open()
                size = first.header.size
                hasher = hashlib.sha256()
                left = size
                valid = size if first.header.resident else first.header.header.Form.Nonresident.ValidDataLength
                done = 0
                encrypted = bool(first.header.flags & 0x4000)
                while left:
                    chunk = blob.read(min(left, 1 << 20))
                    if not chunk:
                        problems.append(f"{number} :{name}: ends early")
                        break
                    hasher.update(chunk)
                    left -= len(chunk)
                data = {"size": size, "valid": valid, "flags": first.header.flags, "sha256": hasher.hexdigest(), "resident": first.header.resident}
                if not first.header.resident:
                    data["allocated"] = first.header.allocated_size
                    data["runs"] = [[-1 if lcn is None else lcn, n] for lcn, n in runs]
                    data["unit"] = first.header.compression_unit
                    if first.header.flags & 0x8001:
                        data["compressed"] = first.header.header.Form.Nonresident.TotalAllocated
                node["streams"][name.encode("utf-8", "surrogatepass").hex()] = data
            elif kind == SI:
                value = raw(first)
                node["times"] = list(struct.unpack_from("<4Q", value, 0))
                node["flags"] = struct.unpack_from("<I", value, 32)[0]
                node["security_id"] = struct.unpack_from("<I", value, 52)[0] if len(value) >= 72 else 0
            elif kind in (OID, RP, EAI, EA, LUS):
                from dissect.ntfs.util import AttributeCollection
                node[{OID: "object_id", RP: "reparse", EAI: "ea_information", EA: "ea", LUS: "logged"}[kind]] = AttributeCollection(group).open().read(first.header.size).hex()
    nodes[number] = node

# security descriptors
known = {}
sds = records[9].open("$SDS").read() if 9 in records else b""
at = 0
for entry in walk(records[9].index("$SII")):
    key = struct.unpack("<I", entry.key)[0]
    hash_, id_, offset, length = struct.unpack_from("<IIQI", entry.data, 0)
    if id_ != key:
        problems.append(f"$SII {key:#x} names {id_:#x}")
    header = struct.unpack_from("<IIQI", sds, offset)
    mirror = sds[offset + 0x40000:offset + 0x40000 + length]
    if header != (hash_, id_, offset, length) or mirror != sds[offset:offset + length]:
        problems.append(f"$SDS entry {key:#x} differs from its index or its copy")
    value = sds[offset + 20:offset + length]
    h = 0
    for (word,) in struct.iter_unpack("<I", value[:len(value) & ~3]):
        h = (word + ((h << 3 | h >> 29) & 0xFFFFFFFF)) & 0xFFFFFFFF
    if h != hash_:
        problems.append(f"$SDS entry {key:#x} has the hash of something else")
    known[key] = value
hashes = [struct.unpack_from("<II", entry.key, 0) for entry in walk(records[9].index("$SDH"))]
if sorted(key for _, key in hashes) != sorted(known):
    problems.append("$SDH and $SII list different descriptors")
if hashes != sorted(hashes):
    problems.append("$SDH is out of order")

# directories
upcase = struct.unpack("<65536H", records[10].open().read())
indexed = collections.Counter()
for number, node in nodes.items():
    if node["security_id"]:
        if node["security_id"] not in known:
            problems.append(f"{number}: security id {node['security_id']:#x} is unknown")
        else:
            node["security"] = known[node["security_id"]].hex()
    if not node["directory"]:
        continue
    before = None
    for entry in walk(records[number].index("$I30")):
        value = entry.key
        name = file_name(value)
        child = entry.header.FileReference
        child_number = child.SegmentNumberLowPart | child.SegmentNumberHighPart << 32
        units = struct.unpack(f"<{value[64]}H", value[66:66 + 2 * value[64]])
        order = (tuple(upcase[u] for u in units), units)
        if before is not None and order <= before:
            problems.append(f"directory {number}: {name['name']} is out of order")
        if before is not None and order[0] == before[0]:
            problems.append(f"directory {number}: {name['name']} collides")
        before = order
        target = nodes.get(child_number)
        if target is None or target["sequence"] != child.SequenceNumber:
            problems.append(f"directory {number}: {name['name']} leads to {child_number}, which is not there")
            continue
        indexed[child_number] += 1
        matching = [n for n in target["names"] if (n["parent"], n["name"], n["namespace"]) == (number, name["name"], name["namespace"])]
        if not matching:
            problems.append(f"directory {number}: {name['name']} is no name of {child_number}")
        elif child_number >= 24 and matching[0] != name:
            problems.append(f"directory {number}: entry {name} differs from the node's {matching[0]}")
for number, node in nodes.items():
    if number >= 24 or number in (5, 9, 11):
        if indexed[number] != len(node["names"]) or node["links"] != len(node["names"]):
            problems.append(f"{number}: {indexed[number]} entries, {len(node['names'])} names, link count {node['links']}")

# $Extend\$Reparse and $ObjId
children = {bytes.fromhex(n["name"]).decode(): number for number, node in nodes.items() for n in node["names"] if n["parent"] == 11}
def references(index, name, key):
    return sorted(key(entry) for entry in walk(records[children[index]].index(name))) if index in children else []
reparse = references("$Reparse", "$R", lambda e: struct.unpack("<IQ", e.key[:12]))
expected = sorted((struct.unpack_from("<I", bytes.fromhex(n["reparse"]))[0], number | n["sequence"] << 48) for number, n in nodes.items() if "reparse" in n)
if reparse != expected:
    problems.append(f"$Reparse lists {reparse}, the nodes have {expected}")
ids = references("$ObjId", "$O", lambda e: (e.key.hex(), struct.unpack_from("<Q", e.data)[0]))
expected = sorted((n["object_id"][:32], number | n["sequence"] << 48) for number, n in nodes.items() if "object_id" in n and number >= 24)
if [i for i in ids if i[1] & 0xFFFFFFFFFFFF >= 24] != expected:
    problems.append(f"$ObjId lists {ids}, the nodes have {expected}")

# clusters and records
bitmap = records[6].open().read()
used = {c for c in range(len(bitmap) * 8) if bitmap[c // 8] >> c % 8 & 1}
fh = fs.fh
fh.seek(0x28)
sectors = struct.unpack("<Q", fh.read(8))[0]
count = sectors * 512 // cluster
for c in range(count, len(bitmap) * 8):
    if c not in used:
        problems.append(f"the bit behind the last cluster, {c}, is clear")
used = {c for c in used if c < count}
wrong = used ^ set(owners)
if wrong:
    problems.append(f"$Bitmap: {len(used - set(owners))} clusters belong to nobody, {len(set(owners) - used)} are not marked: {sorted(wrong)[:8]}")
mft_bitmap = b"".join(a.open().read() for a in [records[0].attributes[0xB0]])
for number in range(24, len(mft_bitmap) * 8):
    if bool(mft_bitmap[number // 8] >> number % 8 & 1) != (number in records):
        problems.append(f"$MFT's bitmap is wrong about record {number}")

volume = raw(records[3].attributes[0x70][0])
flags = struct.unpack_from("<H", volume, 10)[0]
if flags & 1:
    problems.append("the volume is dirty")
print(json.dumps({"nodes": nodes, "problems": problems, "clusters": count, "cluster": cluster}))
