"""What a reader that shares no code with Lamina sees in a hive, one line for each key and value.

    hive_oracle.py dissect|python-registry HIVE

Keys: `k`, path, time, class; values: `v`, path, name, type, SHA-256 of the data. Names are escaped as Python does it.
"""

import hashlib
import sys


def dissect(path):
    from dissect.regf import regf

    hive = regf.RegistryHive(open(path, "rb"))
    open_keys = [(hive.root(), "")]
    while open_keys:
        key, place = open_keys.pop()
        print("k", ascii(place), key.cell.LastWriteTime, ascii(key.class_name), key.cell.Flags, sep="\t")
        for value in key.values():
            data = hashlib.sha256(value.data or b"").hexdigest()
            print("v", ascii(place), ascii(value.name), value.type, data, sep="\t")
        open_keys.extend((subkey, place + "\\" + subkey.name) for subkey in key.subkeys())


def python_registry(path):
    from Registry import Registry

    open_keys = [(Registry.Registry(path).root(), "")]
    while open_keys:
        key, place = open_keys.pop()
        print("k", ascii(place), key.timestamp(), ascii(key._nkrecord.classname()), sep="\t")
        for value in key.values():
            # of numbers of another length it shows where they lie, not what they are
            odd = value.value_type() in (4, 5) and value._vkrecord.data_length() != 4
            data = "-" if odd else hashlib.sha256(value.raw_data() or b"").hexdigest()
            print("v", ascii(place), ascii(value.name()), value.value_type(), data, sep="\t")
        open_keys.extend((subkey, place + "\\" + subkey.name()) for subkey in key.subkeys())


{"dissect": dissect, "python-registry": python_registry}[sys.argv[1]](sys.argv[2])
