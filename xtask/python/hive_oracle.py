"""Reads registry hives with dissect.regf, an implementation that shares no code with Lamina's.

    hive_oracle.py count HIVE            prints how many keys and values there are
    hive_oracle.py value HIVE KEY NAME   prints a value as JSON: its name as the hive spells it, its type, and its text,
                                         texts or number; null where there is none. KEY is below the root
"""

import json
import sys

from dissect.regf import regf
from dissect.regf.exceptions import Error


def count(hive):
    keys, values, pending = 0, 0, [hive.root()]
    while pending:
        key = pending.pop()
        keys += 1
        values += sum(1 for _ in key.values())
        pending.extend(key.subkeys())
    return f"{keys} {values}"


def value(hive, path, name):
    try:
        found = hive.open(path).value(name)
    except Error:
        return "null"
    content = found.value
    if isinstance(content, bytes):
        content = content.hex()
    return json.dumps({"name": found.name, "kind": found.type, "content": content})


def main():
    verb, path, *rest = sys.argv[1:]
    with open(path, "rb") as file:
        hive = regf.RegistryHive(file)
        print(count(hive) if verb == "count" else value(hive, *rest))


main()
