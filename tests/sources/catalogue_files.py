"""Catalogues written by hand: the binary format of GNU gettext, from its manual, and folders of them."""

import hashlib
import json
import struct

HEADER = "Content-Type: text/plain; charset=UTF-8\nPlural-Forms: nplurals=6; plural=n==1 ? 1 : 0;\n"


def mo_bytes(messages, byteorder="<"):
    """`messages`: key (context, EOT and NUL included) -> translation."""
    pairs = sorted((key.encode(), text.encode()) for key, text in {"": HEADER, **messages}.items())
    start = 28 + 16 * len(pairs)
    tables, strings = [], b""
    for column in (0, 1):
        for pair in pairs:
            tables += [len(pair[column]), start + len(strings)]
            strings += pair[column] + b"\0"
    head = (0x950412DE, 0, len(pairs), 28, 28 + 8 * len(pairs), 0, start)
    return struct.pack(f"{byteorder}{7 + len(tables)}I", *head, *tables) + strings


def write_catalogues(folder, packages):
    """`packages`: name -> messages; the manifest as `fetch_messages` writes it."""
    entries = []
    for package, messages in packages.items():
        file = "usr/share/locale/ar/LC_MESSAGES/x.mo"
        path = folder / package / file
        path.parent.mkdir(parents=True)
        data = mo_bytes(messages)
        path.write_bytes(data)
        digest = hashlib.sha256(data).hexdigest()
        entry = {"file": file, "sha256": digest, "messages": len(messages)}
        entries.append({"package": package, "version": "1", "catalogues": [entry]})
    document = {"schema": 1, "kind": "message_catalogues", "packages": entries, "missing": []}
    (folder / "manifest.json").write_text(json.dumps(document))
    return folder
