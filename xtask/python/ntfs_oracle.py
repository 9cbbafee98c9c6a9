"""Reads an NTFS volume inside a raw disk with dissect.ntfs, an implementation that shares no code with Lamina's.

    ntfs_oracle.py has    DISK OFFSET LENGTH PATH   prints yes or no
    ntfs_oracle.py extract DISK OFFSET LENGTH PATH  writes a file's bytes to standard output
    ntfs_oracle.py hashes DISK OFFSET LENGTH        for each path on standard input: SHA-256 (URL-safe base64 without
                                                    padding, as wheels record it) or "absent", a tab, the path
"""

import base64
import hashlib
import sys

from dissect.ntfs import NTFS
from dissect.ntfs.exceptions import Error, FileNotFoundError as Absent
from dissect.util.stream import RangeStream


def digest(ntfs, path):
    try:
        stream = ntfs.mft.get(path).open()
    except Absent:
        return "absent"
    sha256 = hashlib.sha256()
    while block := stream.read(1 << 20):
        sha256.update(block)
    return base64.urlsafe_b64encode(sha256.digest()).decode().rstrip("=")


def main():
    verb, disk, offset, length = sys.argv[1:5]
    with open(disk, "rb") as file:
        ntfs = NTFS(RangeStream(file, int(offset), int(length)))
        if verb == "has":
            try:
                ntfs.mft.get(sys.argv[5])
                print("yes")
            except Error:
                print("no")
        elif verb == "extract":
            stream = ntfs.mft.get(sys.argv[5]).open()
            while block := stream.read(1 << 20):
                sys.stdout.buffer.write(block)
        else:
            for line in sys.stdin:
                path = line.rstrip("\n")
                print(digest(ntfs, path), path, sep="\t")


main()
